"""The vehicle bus: sockets, receiver, and replay of a recorded log."""
