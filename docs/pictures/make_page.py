"""Make docs/pictures/page.png from a real run: the page of `cardan watch` on a desktop and on a phone, side by side.

python docs/pictures/make_page.py [OUTPUT]        (pip install playwright; Debian: chromium-headless-shell)
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from cardan.runtime.cli.runs import find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.web.serve import Page
from cardan.runtime.web.settings import WebSettings

DRIVES_S = 40.0
DESKTOP, PHONE = (1280, 800), (390, 844)
GAP_PX = 24


def shoot(browser: Browser, address: str, size: tuple[int, int], wait_s: float) -> Image.Image:
    """What a screen of this size shows after a while."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(address)
    page.wait_for_timeout(wait_s * 1e3)
    picture = page.screenshot()
    page.close()
    return Image.open(io.BytesIO(picture)).convert("RGB")


def main(output: Path) -> None:
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(CARDAN_RUN_DIR=f"{folder}/runs", CARDAN_DATA_DIR=f"{folder}/data")
        drive = subprocess.Popen([sys.executable, "-m", "cardan.runtime.cli.main", "up", "--for", f"{DRIVES_S:g}s"])
        page = Page(WebSettings(port=0), lambda: find_run(None), MonotonicClock())
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
                time.sleep(DRIVES_S / 2)
                desktop, phone = (shoot(browser, page.address, size, 4.0) for size in (DESKTOP, PHONE))
                browser.close()
        finally:
            page.close()
            drive.terminate()
            drive.wait()
    whole = Image.new("RGB", (desktop.width + phone.width + 3 * GAP_PX, phone.height + 2 * GAP_PX), "#9aa3ab")
    whole.paste(desktop, (GAP_PX, GAP_PX))
    whole.paste(phone, (desktop.width + 2 * GAP_PX, GAP_PX))
    whole.save(output, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("page.png"))
