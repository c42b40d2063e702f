"""The event log of a run: one form, one table of codes, a file for each process that writes."""
