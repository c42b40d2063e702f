"""How exposed the service's unit is, as systemd itself judges it: 0 is sealed, 10 is open.

python benches/service.py

Needs systemd-analyze (systemd 250 or newer) and no running systemd: the unit is judged as a file.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import Row, at_most, parse_arguments, report

from cardan.runtime.service.files import Service, service_files

LIMIT = 2.5
UNIT = "cardan.service"
PLACES = {"in /opt": "/opt/cardan/bin/python", "in a home folder": "/home/driver/cardan/.venv/bin/python"}
"""Where cardan may be installed; from a home folder the service has to see homes."""


def exposure(python: str) -> tuple[float | None, int]:
    """The overall level, and how many of systemd's items stay open."""
    texts = service_files(Service(python=Path(python), manifest=Path("/etc/cardan/vehicle.toml")))
    text = next(text for target, text in texts.items() if str(target).endswith(UNIT))
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / UNIT
        unit.write_text(text)
        command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    return (float(found[1]) if found else None), sum(line.startswith("✗") for line in said.splitlines())


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    if shutil.which("systemd-analyze") is None:
        missing = Row("exposure of the unit", None, "systemd-analyze is not installed", f"<= {LIMIT:g}", False)
        return report("service", [missing], as_json=arguments.json)
    rows = []
    for place, python in PLACES.items():
        level, open_items = exposure(python)
        rows.append(at_most(f"exposure of the unit, cardan {place} (systemd-analyze security)", level, LIMIT, "of 10"))
        rows.append(
            Row(f"left open, each with its reason in the unit, cardan {place}", open_items, "items", "shown", True)
        )
    return report("service", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
