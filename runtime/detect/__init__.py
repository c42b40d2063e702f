"""What a computer is, read from /sys and /proc: the profile that `cardan profile detect` writes."""
