"""The report of a storm as one HTML file that needs no network.

*Rule of this file*: figures in, text out. Nothing that was secret in the flags may
be in what is given here.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from governor.load.faults import Fault
from governor.load.figures import QUANTILES, Figures

COLORS = ("#c0392b", "#1e7a46", "#2c6fbb", "#8e5ea2")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; color: #222; }
table { border-collapse: collapse; } td, th { padding: .2em .9em; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid #ddd; }
code { background: #f3f3f3; padding: .1em .3em; } .missed { color: #c0392b; }
"""


def is_available() -> bool:
    """Return whether what draws the plots is installed."""
    import importlib.util

    return importlib.util.find_spec("plotly") is not None


def page(
    title: str,
    lines: Sequence[str],
    rows: Sequence[Sequence[str]],
    sides: dict[str, Figures],
    faults: Sequence[Fault],
    seconds: float,
) -> str:
    """Return the report.

    Parameters
    ----------
    title : str
    lines : sequence of str
        What was done, notes and verdicts, a paragraph each.
    rows : sequence of sequences of str
        The table: head first.
    sides : dict
        Figures by side.
    faults : sequence of Fault
    seconds : float
        How long new tasks began.
    """
    head, *body = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    plots = [over_time(sides, faults, seconds), task_times(sides), attempts(sides)]
    drawn = [
        plot.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, plot in enumerate(plots)
    ]
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{paragraphs}"
        f"<table><tr>{head.replace('td>', 'th>')}</tr>"
        + "".join(f"<tr>{row}</tr>" for row in body)
        + "</table>"
        + "".join(drawn)
        + "</html>\n"
    )


def over_time(sides: dict[str, Figures], faults: Sequence[Fault], seconds: float) -> Any:
    """Return demand, calls, goodput and trouble over time, a row for each side."""
    from plotly import graph_objects as go  # type: ignore[import-untyped]
    from plotly.subplots import make_subplots  # type: ignore[import-untyped]

    figure: Any = make_subplots(
        rows=len(sides), cols=1, shared_xaxes=True, shared_yaxes="all", subplot_titles=list(sides)
    )
    names = {
        "offered_hz": ("offered: fresh tasks/s", "#888888", "dot"),
        "calls_hz": ("calls/s, retries included", "#c0392b", "solid"),
        "goodput_hz": ("goodput: tasks done/s", "#1e7a46", "solid"),
        "refused_hz": ("refusals/s", "#e59866", "solid"),
        "lost_hz": ("time-outs and broken/s", "#8e5ea2", "solid"),
    }
    for row, side in enumerate(sides.values(), start=1):
        line = side["timeline"]
        for key, (name, color, dash) in names.items():
            figure.add_trace(
                go.Scatter(
                    x=line["at_s"],
                    y=line[key],
                    name=name,
                    legendgroup=name,
                    showlegend=row == 1,
                    line={"color": color, "dash": dash, "width": 1.5},
                ),
                row=row,
                col=1,
            )
    for fault in faults:
        end_s = min(fault.end_s, seconds)
        figure.add_vrect(x0=fault.start_s, x1=end_s, fillcolor="grey", opacity=0.15, line_width=0)
    figure.update_xaxes(title_text="seconds; grey: a fault is at work", row=len(sides), col=1)
    figure.update_layout(
        title="Offered demand, calls and goodput over time", height=240 * len(sides) + 180
    )
    return figure


def task_times(sides: dict[str, Figures]) -> Any:
    """Return the share of tasks done within a time."""
    from plotly import graph_objects as go

    figure: Any = go.Figure()
    for index, (name, side) in enumerate(sides.items()):
        figure.add_trace(
            go.Scatter(
                x=side["task_times_s"],
                y=[q / 100.0 for q in QUANTILES][: len(side["task_times_s"])],
                name=name,
                line={"color": COLORS[index % len(COLORS)]},
            )
        )
    figure.update_xaxes(type="log", title_text="task time, s (of tasks that succeeded)")
    figure.update_yaxes(tickformat=".0%", title_text="share done within")
    figure.update_layout(title="Task times", height=380)
    return figure


def attempts(sides: dict[str, Figures]) -> Any:
    """Return how many attempts tasks took."""
    from plotly import graph_objects as go

    figure: Any = go.Figure()
    for index, (name, side) in enumerate(sides.items()):
        counts = side["attempts_counts"]
        total = max(1, sum(counts))
        labels = [str(n) for n in range(1, len(counts) - 1)] + [f"{len(counts) - 1}+"]
        figure.add_trace(
            go.Bar(
                x=labels,
                y=[count / total for count in counts[1:]],
                name=name,
                marker_color=COLORS[index % len(COLORS)],
            )
        )
    figure.update_yaxes(tickformat=".0%", title_text="share of tasks")
    figure.update_layout(title="Attempts a task", height=340, barmode="group")
    return figure
