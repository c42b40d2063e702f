"""The runtime that is flashed onto a vehicle computer.

The packages `cardan.runtime`, `cardan.drivers`, `cardan.engines`, `cardan.firmware_bridge` and
`cardan.hw_profiles` are the folders of the same name at the top of the repository, linked from here.
"""
