"""A recording or a trace drawn: one HTML file that needs no network, or a PNG.

*Rule of this file*: figures in, files out. plotly draws the page and matplotlib the PNG;
neither is needed for anything else.
"""

from __future__ import annotations

import html
import importlib.util
from pathlib import Path
from typing import Any

from governor.record.summary import Series, Summary

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

    shown = {name: series for name, series in summary.series.items() if any_calls(series)}
    n_rows = max(1, len(shown))
    figure, axes = pyplot.subplots(
        n_rows, 1, sharex=True, squeeze=False, figsize=(10, 1.4 + 2.6 * n_rows)
    )
    for (upstream, series), axis in zip(shown.items(), axes[:, 0], strict=False):
        for name, values in series.lines.items():
            if any(values):
                axis.plot(series.at_s, values, label=name, color=COLORS[name], linewidth=1.6)
        if done := series.lines.get("completed/s"):  # a trace does not tell
            axis.fill_between(
                series.at_s, done, color=COLORS["completed/s"], alpha=0.12, linewidth=0
            )
        axis.set_title(f"{upstream}: calls a second", loc="left", fontsize=10)
        axis.set_ylim(bottom=0)
        axis.margins(x=0)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, ncol=4, loc="lower left", bbox_to_anchor=(0.25, 1.0), frameon=False)
    busy_s = [
        at_s
        for series in shown.values()
        for at_s, n in zip(series.at_s, series.lines["calls/s"], strict=True)
        if n
    ]
    if busy_s:  # what was before and after is no part of the incident
        axes[-1, 0].set_xlim(max(0.0, min(busy_s) - 2.0), max(busy_s) + 2.0)
    axes[-1, 0].set_xlabel("seconds since the first record")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def any_calls(series: Series) -> bool:
    """Return whether an upstream was called at all."""
    return any(any(values) for values in series.lines.values())
