"""Send and receive on vcan0, ours beside python-can's, turn by turn in one guest with the kernel's own CAN.

    packaging/ci/can_vm.sh                             # once: QEMU and Debian's kernel
    python benches/socketcan.py                        # about 20 s on an idle computer
    python benches/socketcan.py --json > docs/benchmarks/socketcan.json

The guest's processor is emulated, so microseconds here are not those of a vehicle; the ratio is what counts.
Ends with status 0 and says so where the guest cannot run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rows import Row, exactly, parse_arguments, report

REPOSITORY = Path(__file__).resolve().parents[1]
SKIPPED = 77
LIMIT_S = 200
BAR = 5.0


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    launcher = REPOSITORY / "packaging" / "ci" / "can_vm.py"
    command = [sys.executable, str(launcher), str(REPOSITORY / "tests" / "can_vm" / "guest.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False)
    if done.returncode == SKIPPED:
        return 0
    if done.returncode != 0:
        return 1
    return report("socketcan", rows(json.loads(done.stdout)), as_json=arguments.json)


def rows(seen: dict[str, Any]) -> list[Row]:
    compared, pair = seen["comparison"], seen["kvaser_pair"]
    if "failed" in compared:
        raise SystemExit(compared["failed"])
    return [
        beside("a period of the bridge: 4 received, 3 sent, 3 confirmed", *pair_of(compared, "period")),
        beside("send + receive per frame, 50 at a time", *pair_of(compared, "burst")),
        beside("send + receive per frame, one at a time", compared["ours_us"], compared["theirs_us"]),
        Row("the same, one at a time, with bare sockets and no driver", compared["bare_us"], "us", "shown", True),
        exactly("frames that arrived between two Kvaser cards", pair["arrived"], 2000, "frames"),
        exactly("of them confirmed by the sending controller", pair["sent"]["confirmed"], 2000, "frames"),
    ]


def pair_of(compared: dict[str, float], what: str) -> tuple[float, float]:
    return compared[f"ours_{what}_us"], compared[f"theirs_{what}_us"]


def beside(name: str, ours_us: float, theirs_us: float) -> Row:
    ratio = theirs_us / ours_us
    return Row(name, ours_us, "us", f"ratio >= {BAR:g}", ratio >= BAR, "python-can", theirs_us, ratio)


if __name__ == "__main__":
    raise SystemExit(main())
