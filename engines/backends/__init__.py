"""Backends run a compiled network; each wraps one inference library behind `Session`."""
