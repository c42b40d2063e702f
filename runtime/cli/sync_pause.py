"""`cardan sync pause`."""

from cardan.runtime.cli.sync_say import run_pause as run

__all__ = ["run"]
