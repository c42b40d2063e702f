"""cardan as a service of systemd: the files that a computer needs for it, and what writes them."""
