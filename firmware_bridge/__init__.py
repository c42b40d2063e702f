"""The only way to an actuator: envelope, guard, vehicle bus encoding, and the bridge that applies them."""

if __name__ == "firmware_bridge":
    raise ImportError('import "cardan.firmware_bridge", not "firmware_bridge": src/cardan links to this folder')
