"""How the computer itself fares: heat, memory, pressure, throttling, disk."""
