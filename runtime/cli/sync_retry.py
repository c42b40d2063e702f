"""`cardan sync retry`."""

from cardan.runtime.cli.sync_say import run_retry as run

__all__ = ["run"]
