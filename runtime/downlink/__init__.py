"""What is asked of a vehicle from outside: signed, checked here, done at most once, and answered."""
