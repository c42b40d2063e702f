"""The flight recorder: every topic in MCAP files that are readable after a kill."""
