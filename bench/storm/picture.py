"""The pictures of a scenario: calls, goodput, work and response time of every peer over time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.storm.base import Scenario
from bench.storm.series import Timeline

Timelines = Mapping[str, Timeline]


def finite(values: list[float]) -> list[float]:
    """Return the values with gaps where they are infinite or missing."""
    return [value if math.isfinite(value) else math.nan for value in values]


def draw_png(timelines: Timelines, scenario: Scenario, path: Path) -> None:
    """Write a static picture: what tasks get, what the service does, how long callers wait."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(timelines), 3, figsize=(14, 1.9 * len(timelines) + 0.6), sharex=True, squeeze=False
    )
    for row, (name, line) in zip(axes, timelines.items(), strict=True):
        tasks, work, times = row
        tasks.plot(line["t_s"], line["attempts_hz"], color="#c0392b", lw=1, label="calls/s")
        tasks.plot(line["t_s"], line["goodput_hz"], color="#1e7a46", lw=1.6, label="tasks done/s")
        work.stackplot(
            line["t_s"],
            line["useful_jobs_hz"],
            line["orphaned_jobs_hz"],
            colors=["#7fb899", "#d98880"],
            labels=["useful", "orphaned"],
        )
        times.plot(line["t_s"], finite(line["p95_s"]), color="#34495e", lw=1.2, label="p95, s")
        tasks.set_ylabel(name)
        for panel in row:
            if scenario.fault is not None:
                panel.axvspan(*scenario.fault, color="#dddddd", zorder=0)
            panel.set_xlim(0, scenario.seconds)
            panel.grid(alpha=0.3)
        tasks.set_ylim(bottom=0)
        work.set_ylim(bottom=0)
        times.set_yscale("log")
    whose = ", ".join(scenario.watched) if 0 < len(scenario.watched) < 4 else "watched"
    axes[0][0].set_title(f"{scenario.name}: callers")
    axes[0][1].set_title("answers of the services, per second")
    axes[0][2].set_title(f"response time, {whose if scenario.watched else 'all'} (by start)")
    for panel in axes[0]:
        panel.legend(loc="upper right", fontsize=8)
    for panel in axes[-1]:
        panel.set_xlabel("seconds" + ("; grey: the trouble" if scenario.fault else ""))
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_html(timelines: Timelines, scenario: Scenario, path: Path) -> None:
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
    if scenario.fault is not None:
        start_s, stop_s = scenario.fault
        figure.add_vrect(x0=start_s, x1=stop_s, fillcolor="grey", opacity=0.2, line_width=0)
    figure.update_layout(height=260 * len(timelines) + 80, title=scenario.name)
    figure.write_html(path, include_plotlyjs="directory")
