"""Pictures on disk: one page that needs no network, and PNGs made from the same figures.

*Rule of this file*: from plotly figures to files. The page holds plotly's
script itself, so it opens anywhere. PNGs are screenshots of the same figures
by a headless Chromium, so that both always show the same; where no Chromium is
installed the PNGs are left out with a note.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

WIDTH_PX, HEIGHT_PX = 1100, 520
"""Where a figure's layout states no size."""

SCALE = 2
"""Device pixels per CSS pixel: sharp when a page shows the picture at half its width."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER_TIMEOUT_S = 60.0
BACKGROUND = "ffffffff"


def find_browser() -> str | None:
    """Return the path of a Chromium, if one is installed."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def size_of(figure: Any) -> tuple[int, int]:
    """Return width and height in CSS pixels."""
    layout = figure.layout
    return int(layout.width or WIDTH_PX), int(layout.height or HEIGHT_PX)


def write_page(figures: list[tuple[str, Any]], path: Path, title: str) -> None:
    """Write one self-contained page with all figures, one below the other."""
    bodies = [
        figure.to_html(full_html=False, include_plotlyjs=number == 0, div_id=name)
        for number, (name, figure) in enumerate(figures)
    ]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    path.write_text(head + "</head><body>" + "\n".join(bodies) + "</body></html>")


def write_pngs(figures: list[tuple[str, Any]], folder: Path) -> list[Path]:
    """Write ``<name>.png`` for each figure; return those written."""
    browser = find_browser()
    if browser is None:
        print("detect: no Chromium here, so no PNGs; the page has the figures", file=sys.stderr)
        return []
    return [write_png(figure, folder / f"{name}.png", browser) for name, figure in figures]


def write_png(figure: Any, path: Path, browser: str) -> Path:
    """Write one figure as PNG."""
    width_px, height_px = size_of(figure)
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "figure.html"
        text = figure.to_html(
            full_html=False,
            include_plotlyjs=True,
            default_width=f"{width_px}px",
            default_height=f"{height_px}px",
            config={"displayModeBar": False, "staticPlot": True},
        )
        page.write_text(
            '<!doctype html><html><head><meta charset="utf-8"></head>'
            f'<body style="margin:0;background:#fff">{text}</body></html>'
        )
        subprocess.run(
            [
                browser,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={scratch}/profile",
                f"--default-background-color={BACKGROUND}",
                f"--force-device-scale-factor={SCALE}",
                f"--window-size={width_px},{height_px}",
                "--virtual-time-budget=5000",
                f"--screenshot={path.resolve()}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=BROWSER_TIMEOUT_S,
        )
    return path
