"""Engines: the deadline scheduler in simulation, the host as a process, models and plans; each part has its own module.

python benches/engines.py --quick
python benches/engines.py --json > docs/benchmarks/engines.json
"""

from __future__ import annotations

import sys

import engines_host
import engines_models
import engines_sim
from rows import parse_arguments, report


def main() -> int:
    arguments = parse_arguments("Measure engines: scheduler, host, models and plans.")
    parts = (engines_sim, engines_models, engines_host)
    rows = [row for part in parts for row in part.rows(quick=arguments.quick)]
    return report("engines", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
