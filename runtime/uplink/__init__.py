"""From topics to the cloud: a durable queue on disk, and what empties it into a store."""
