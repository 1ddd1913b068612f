"""Colours that can be read, in light and in dark: contrast as WCAG 2.2 counts it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import governor.control.dashboard as dashboard

STYLE = (Path(dashboard.__file__).parent / "pages" / "style.css").read_text()
TEXT = 4.5
"""Success criterion 1.4.3, AA."""
GRAPHIC = 3.0
"""Success criterion 1.4.11: lines of charts and the mark of focus."""


def read_themes() -> dict[str, dict[str, str]]:
    """Return the colours of each theme by name."""
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)
    )
    return {"light": light, "dark": dark}


def luminance(color: str) -> float:
    """Return the relative luminance."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme: str) -> None:
    """Text on what it stands on, and lines on their card."""
    colors = read_themes()[theme]
    texts = [(ink, ground) for ink in ("ink", "soft", "focus") for ground in ("ground", "card")]
    texts += [("soft", "calm-ground"), ("ink", "calm-ground"), ("focus", "calm-ground")]
    texts += [(name, f"{name}-ground") for name in ("good", "warn", "bad")]
    lines = ["demand", "retries", "capacity", "forecast", "flight", "own", "long", "crowd", "focus"]
    low = [pair for pair in texts if contrast(colors[pair[0]], colors[pair[1]]) < TEXT]
    assert low == []
    assert [x for x in lines if contrast(colors[x], colors["card"]) < GRAPHIC] == []


def test_focus_can_be_seen_and_nothing_takes_it_away() -> None:
    """One rule draws it; only the skip link's target, which is no control, goes without."""
    assert ":focus-visible { outline: 3px" in STYLE
    assert STYLE.count("outline: none") == 1
