"""Devices of the simulated vehicle."""
