"""Recordings played to nodes again, on the clock of the recording."""
