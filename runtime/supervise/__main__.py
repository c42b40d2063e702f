"""`python -m cardan.runtime.supervise RUN_DIR DATA_DIR [--with-parent PID | --service]`: supervise the plan in RUN_DIR.

--with-parent: stop in order when that process dies. --service: this is the main process of a systemd service, and
every event goes to the journal too.
Exit code 0 after an orderly end, 1 when the run failed. SIGTERM and SIGINT stop it in order, a second SIGINT at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cardan.runtime.errors import CardanError
from cardan.runtime.run import RunPaths
from cardan.runtime.supervise.groups import RunGroups
from cardan.runtime.supervise.guardian import guard
from cardan.runtime.supervise.journal import Journal

SERVICE = "--service"


def main(arguments: list[str]) -> int:
    run_dir, data_dir, *rest = arguments
    paths = RunPaths(Path(run_dir), Path(data_dir))
    parent_pid = int(rest[1]) if rest[:1] == ["--with-parent"] else None
    with closing(Journal()) as journal:
        echo = journal.write if rest == [SERVICE] else None
        try:
            return guard(paths, lambda pid, groups: supervise(paths, pid, groups, echo), parent_pid, echo)
        except CardanError as error:
            sys.stderr.write(f"{error}\n")
            return 1


def supervise(
    paths: RunPaths, guardian_pid: int, groups: RunGroups | str, echo: Callable[[str, str], None] | None
) -> int:
    """The supervisor's process. Its imports stand here so that the guardian stays small."""
    from cardan.runtime.bus.ring_ends import create_rings
    from cardan.runtime.bus.step_rings import create_note_rings
    from cardan.runtime.clock import MonotonicClock
    from cardan.runtime.plan import read_plan
    from cardan.runtime.run import point_current
    from cardan.runtime.supervise import kernel
    from cardan.runtime.supervise.supervisor import Supervisor
    from cardan.runtime.vitals import create_vitals

    kernel.show_as("cardan-supervi", f"cardan-supervisor {paths.run_id}")
    clock = MonotonicClock()
    plan = read_plan(paths.plan)
    if plan.bus == "ring":
        create_rings(plan, paths.bus)
        create_note_rings(plan, paths.bus)
    vitals = create_vitals(paths.vitals, plan, now_ns=clock.now_ns(), wall_ns=clock.wall_ns())
    point_current(paths)
    return Supervisor(plan, paths, vitals, guardian_pid, groups, echo).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
