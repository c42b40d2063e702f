"""`cardan sync metered`."""

from cardan.runtime.cli.sync_say import run_metered as run

__all__ = ["run"]
