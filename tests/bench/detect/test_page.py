"""Figures become one page that needs no network, and PNGs where there is a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from plotly import graph_objects as go

from bench.detect import page


def figures() -> list[tuple[str, go.Figure]]:
    """Return two small figures, one with a size of its own."""
    first = go.Figure(go.Scatter(y=[1, 2]), layout={"width": 300, "height": 200})
    return [("first", first), ("second", go.Figure(go.Scatter(y=[2, 1])))]


def test_a_page_carries_plotly_once_and_every_figure(tmp_path: Path) -> None:
    """It opens without a network: the script is inside, not linked."""
    path = tmp_path / "page.html"
    page.write_page(figures(), path, "Storms")
    text = path.read_text()
    assert 'id="first"' in text
    assert 'id="second"' in text
    assert len(text) > 1_000_000
    assert "cdn.plot.ly" not in text.split("<script", 2)[0]
    assert "<title>Storms</title>" in text


def test_a_figure_without_a_size_gets_one() -> None:
    """The screenshot is as large as the figure."""
    assert [page.size_of(figure) for _, figure in figures()] == [
        (300, 200),
        (page.WIDTH_PX, page.HEIGHT_PX),
    ]


def test_without_a_browser_there_are_no_pngs_but_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine without Chromium still gets its report."""
    monkeypatch.setattr(page.shutil, "which", lambda name: None)
    assert page.write_pngs(figures(), tmp_path) == []
    assert "no Chromium" in capsys.readouterr().err
