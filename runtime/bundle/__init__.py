"""A bundle: what a field engineer takes away of a vehicle, so that every question can be answered elsewhere."""
