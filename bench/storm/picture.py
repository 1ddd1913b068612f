"""Pictures of a storm: goodput and calls over time, one row per peer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.storm_analysis import Axis

Timelines = dict[str, dict[str, list[float]]]


def draw_png(timelines: Timelines, axis: Axis, path: Path) -> None:
    """Write a static picture: left what the tasks get, right what the service does."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(timelines), 2, figsize=(11, 1.9 * len(timelines)), sharex=True, squeeze=False
    )
    for row, (name, line) in zip(axes, timelines.items(), strict=True):
        tasks, work = row
        tasks.plot(line["t_s"], line["attempts_hz"], color="#c0392b", lw=1, label="calls/s")
        tasks.plot(line["t_s"], line["goodput_hz"], color="#1e7a46", lw=1.6, label="tasks done/s")
        work.stackplot(
            line["t_s"],
            line["useful_jobs_hz"],
            line["orphaned_jobs_hz"],
            colors=["#7fb899", "#d98880"],
            labels=["useful", "orphaned"],
        )
        tasks.set_ylabel(name)
        for panel in row:
            panel.axvspan(axis.fault_s, axis.fault_end_s, color="#dddddd", zorder=0)
            panel.set_xlim(0, axis.end_s)
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
    axes[0][0].set_title("callers")
    axes[0][1].set_title("answers of the service, per second")
    axes[0][0].legend(loc="upper right", fontsize=8)
    axes[0][1].legend(loc="upper right", fontsize=8)
    for panel in axes[-1]:
        panel.set_xlabel("seconds; grey: the service runs at a tenth of its speed")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_html(timelines: Timelines, axis: Axis, path: Path) -> None:
    """Write an interactive picture that needs no network."""
    from plotly import graph_objects as go  # type: ignore[import-untyped]
    from plotly.subplots import make_subplots  # type: ignore[import-untyped]

    figure: Any = make_subplots(
        rows=len(timelines), cols=1, shared_xaxes=True, subplot_titles=list(timelines)
    )
    names = {
        "goodput_hz": "tasks done/s",
        "attempts_hz": "calls/s",
        "refused_hz": "refusals/s",
        "orphaned_jobs_hz": "orphaned answers/s",
    }
    for row, line in enumerate(timelines.values(), start=1):
        for key, name in names.items():
            figure.add_trace(
                go.Scatter(
                    x=line["t_s"], y=line[key], name=name, legendgroup=name, showlegend=row == 1
                ),
                row=row,
                col=1,
            )
    figure.add_vrect(
        x0=axis.fault_s, x1=axis.fault_end_s, fillcolor="grey", opacity=0.2, line_width=0
    )
    figure.update_layout(height=260 * len(timelines) + 80)
    figure.write_html(path, include_plotlyjs="directory")
