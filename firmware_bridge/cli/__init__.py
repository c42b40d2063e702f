"""The commands `cardan can ...`; the command line finds them through `cardan.runtime.cli.siblings`."""
