"""Why something happened: the first cause, its chain, and what was around it, from recorded facts and nothing else."""
