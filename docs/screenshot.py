"""The picture of the page in the guide and the README: the report of the example run, as Chromium shows it.

``python docs/screenshot.py`` writes ``docs/images/report.png``; it needs Playwright and ``chromium``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent
RUN = DOCS / "example" / "attentions"
PICTURE = DOCS / "images" / "report.png"
WIDTH, HEIGHT = 960, 1200
FIRST, LAST = "memory", "latency"
"""The sections that the picture begins and ends with."""

TOP = "id => scrollY + document.getElementById(id).getBoundingClientRect().top"
BOTTOM = "id => scrollY + document.getElementById(id).getBoundingClientRect().bottom"


def main() -> None:
    """Write the report of the example run, and a picture of a part of its page."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        report = [sys.executable, "-m", "aabench", "report", str(RUN), "--to", "html"]
        subprocess.run([*report, "--into", folder], check=True, stdout=subprocess.DEVNULL)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light"
            )
            page.goto((Path(folder) / "report.html").as_uri())
            for name in (FIRST, LAST):  # a chart is drawn when it comes into view
                page.locator(f"#{name}").scroll_into_view_if_needed()
                page.locator(f"#{name} .main-svg").first.wait_for()
            top = page.evaluate(TOP, FIRST)
            bottom = page.evaluate(BOTTOM, LAST)
            clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top}
            page.screenshot(path=PICTURE, full_page=True, clip=clip)
            browser.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
