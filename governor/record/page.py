"""A recording or a trace drawn: one HTML file that needs no network, or a PNG.

*Rule of this file*: figures in, files out. plotly draws the page and matplotlib the PNG;
neither is needed for anything else.
"""

from __future__ import annotations

import html
import importlib.util
from pathlib import Path
from typing import Any

from governor.record.summary import Summary

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; color: #222; }
table { border-collapse: collapse; margin-bottom: 1.5em; } td { padding: .2em .9em; }
tr { border-bottom: 1px solid #ddd; }
"""

COLORS = {
    "calls/s": "#444444",
    "marked retries/s": "#c0392b",
    "completed/s": "#1e7a46",
    "held/s": "#2c6fbb",
    "answered by Governor/s": "#8e5ea2",
    "failed or refused/s": "#e59866",
    "wasted: nobody waits/s": "#7f8c8d",
    "open": "#2c6fbb",
}


def has(module: str) -> bool:
    """Return whether what draws is installed."""
    return importlib.util.find_spec(module) is not None


def table(rows: list[tuple[str, ...]]) -> str:
    """Return rows as HTML."""
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def draw_html(summary: Summary, title: str, path: Path) -> None:
    """Write the page; asks for plotly."""
    decisions = [(action, reason, f"{n:,}") for action, reason, n in summary.decisions]
    told = f"<h2>Decisions</h2>{table([*decisions])}" if decisions else ""
    drawn = _plot(summary).to_html(full_html=False, include_plotlyjs=True)
    path.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>"
        f"{table([*summary.rows])}{drawn}{told}</html>\n",
        encoding="utf-8",
    )


def _plot(summary: Summary) -> Any:
    from plotly import graph_objects as go  # type: ignore[import-untyped]
    from plotly.subplots import make_subplots  # type: ignore[import-untyped]

    n_rows = max(1, len(summary.series))
    figure: Any = make_subplots(
        rows=n_rows, cols=1, shared_xaxes=True, subplot_titles=list(summary.series)
    )
    shown: set[str] = set()
    for row, series in enumerate(summary.series.values(), start=1):
        for name, values in series.lines.items():
            figure.add_trace(
                go.Scatter(
                    x=series.at_s,
                    y=values,
                    name=name,
                    legendgroup=name,
                    showlegend=name not in shown,
                    line={"color": COLORS[name], "width": 1.5},
                ),
                row=row,
                col=1,
            )
            shown.add(name)
    figure.update_xaxes(title_text="seconds since the beginning", row=n_rows, col=1)
    figure.update_layout(title="What came and what became of it", height=260 * n_rows + 160)
    return figure


def draw_png(summary: Summary, title: str, path: Path) -> None:
    """Write the picture; asks for matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    n_rows = max(1, len(summary.series))
    figure, axes = pyplot.subplots(
        n_rows, 1, sharex=True, squeeze=False, figsize=(10, 1.5 + 2.8 * n_rows)
    )
    for (upstream, series), axis in zip(summary.series.items(), axes[:, 0], strict=False):
        for name, values in series.lines.items():
            axis.plot(series.at_s, values, label=name, color=COLORS[name], linewidth=1.2)
        axis.set_title(upstream, loc="left")
        axis.set_ylim(bottom=0)
    axes[-1, 0].set_xlabel("seconds since the beginning")
    axes[0, 0].legend(fontsize=7, ncol=2)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
