"""The vehicle live: state, events and results over MQTT 5, and what is asked of it from outside."""
