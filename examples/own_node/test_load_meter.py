"""Run it in this folder: `python -m pytest`."""

from pathlib import Path

from drivers.load_meter import LoadMeter, LoadMeterConfig

from cardan.runtime.testing import Bench


def test_the_first_number_of_the_file_is_published(tmp_path: Path) -> None:
    (tmp_path / "loadavg").write_text("0.42 0.50 0.60 1/99 1234\n")
    with Bench(LoadMeter, config=LoadMeterConfig(file=str(tmp_path / "loadavg"))) as bench:
        bench.step()
        assert bench.sent("load")[0].value.runnable == 0.42
