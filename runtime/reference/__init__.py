"""Control of the reference vehicle: lane keeping and adaptive cruise."""
