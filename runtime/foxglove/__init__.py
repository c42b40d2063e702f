"""A run in Foxglove, live: pictures, a scene, the log, and every small topic over a WebSocket (`cardan[foxglove]`)."""
