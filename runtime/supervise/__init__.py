"""Start, watch, restart, order and stop the nodes of one vehicle."""
