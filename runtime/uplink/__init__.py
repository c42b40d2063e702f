"""What empties the outbox into the cloud: claims on its segments, objects made of them, and the stores they go to."""
