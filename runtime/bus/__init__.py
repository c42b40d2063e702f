"""Topics between processes: one port API, its transports, and frames in shared memory."""
