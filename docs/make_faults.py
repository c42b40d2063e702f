"""Write docs/faults.md from the table of faults."""

from pathlib import Path

from cardan.runtime.faults import page

Path(__file__).with_name("faults.md").write_text(page())
