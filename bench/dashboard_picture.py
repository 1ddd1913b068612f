"""A picture of the dashboard, by a headless Chromium that Playwright drives.

*Rule of this file*: one page, one wait, one PNG. It needs a running Governor; the picture in
``docs/dashboard.png`` is made so, while ``governor storm --target http://127.0.0.1:8080`` loads it
and its service stalls::

    python -m bench.dashboard_picture docs/dashboard.png --until Over --after 3
"""

from __future__ import annotations

import argparse
from pathlib import Path
from shutil import which

from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking")
UNTIL_S = 120.0


def find_browser() -> str:
    """Return the first Chromium that is installed; empty if none is."""
    return next(filter(None, map(which, BROWSERS)), "")


def shoot(page: Page, options: argparse.Namespace) -> None:
    """Open the page, wait, write the PNG."""
    page.on("pageerror", lambda error: print(error))
    page.on("console", lambda said: print(said.type, said.text))
    page.goto(options.url)
    if options.until:
        page.get_by_text(options.until, exact=True).first.wait_for(timeout=1e3 * UNTIL_S)
    page.wait_for_timeout(1e3 * options.after)
    page.screenshot(path=options.out, full_page=options.whole)


def main() -> None:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:9090/dashboard")
    parser.add_argument("--until", default="", help="a text that is to stand on the page first")
    parser.add_argument("--after", type=float, default=15.0, help="seconds to watch then")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--whole", action="store_true", help="also what lies below the window")
    options = parser.parse_args()
    program = find_browser()
    if not program:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(
            viewport={"width": options.width, "height": options.height},
            device_scale_factor=options.scale,
            color_scheme="dark" if options.dark else "light",
        )
        shoot(page, options)
        browser.close()


if __name__ == "__main__":
    main()
