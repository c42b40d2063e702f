"""Devices as nodes: what they measure goes onto the bus with the time of capture. A fake of each is shipped."""

if __name__ == "drivers":
    raise ImportError('import "cardan.drivers", not "drivers": src/cardan links to this folder')
