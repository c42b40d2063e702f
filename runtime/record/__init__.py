"""The flight recorder: every topic of a run in MCAP files that any MCAP tool opens."""
