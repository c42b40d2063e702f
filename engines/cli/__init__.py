"""The commands `cardan engine ...`; the command line finds them through `cardan.runtime.cli.siblings`."""
