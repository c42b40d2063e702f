"""The way to the cloud: a durable queue on disk, and what empties it."""
