"""The first files of a vehicle of one's own (`cardan new`)."""
