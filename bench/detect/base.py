"""What a section of ``bench detect`` gets and gives, and which sections there are.

*Rule of this file*: the contract between the report and its sections; no
measurement. A section is a module with ``run(options) -> Section``. A module
that does not exist is left out with a note, so each can be worked on alone.

*Claims*: a section that answers a figure that was asked for says so in
``data["claims"]``, a list made by :func:`claim`. The report puts all of them
into one table at its top: asked, measured, met or not. What cannot be judged
(a trace that is absent, a quick run) says ``met=None``, never True.

*Seeds and traces*: whatever is chosen by looking (a threshold, a constant) is
chosen on ``TUNE_SEEDS`` and ``TUNE_TRACES`` and reported on ``REPORT_SEEDS``
and on all traces.

Examples
--------
A whole section::

    def run(options: Options) -> Section:
        found = [measure(seed) for seed in options.report_seeds]
        claims = [claim("retries found", "recall >= 0.99", f"{min(found):.3f}", min(found) >= 0.99)]
        return Section("Retries", table(["law", "recall"], rows), {"claims": claims}, [])
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

TUNE_SEEDS = (0, 2, 4)
"""Thresholds are chosen on these."""

REPORT_SEEDS = (1, 3, 5)
"""Results are reported on these."""

TUNE_TRACES = ("azure", "nasa")
"""Thresholds are chosen on these traces; results are reported on all."""

SECTIONS = {
    "silence": "bench.detect.silence",
    "surges": "bench.detect.surges",
    "waves": "bench.detect.waves",
    "storms": "bench.detect.storms",
    "picture": "bench.detect.picture",
    "forecast": "bench.detect.forecast",
    "retry": "bench.detect.retry",
    "fanout": "bench.detect.fanout",
    "saturation": "bench.detect.saturation",
    "propagation": "bench.detect.propagation",
    "contention": "bench.detect.contention",
    "cost": "bench.detect.cost",
}
"""Name on the command line and module, in the order of the report."""


class Options(NamedTuple):
    """What a section is told.

    Attributes
    ----------
    traces : Path or None
        Folder of recorded traffic; None if there is none (see bench.detect.traces).
    quick : bool
        A smoke run: less than 30 s a section.
    seeds : tuple of int
        For choosing thresholds.
    report_seeds : tuple of int
        For every figure in the report.
    """

    traces: Path | None = None
    quick: bool = False
    seeds: tuple[int, ...] = TUNE_SEEDS
    report_seeds: tuple[int, ...] = REPORT_SEEDS


class Section(NamedTuple):
    """What a section gives.

    Attributes
    ----------
    title : str
    markdown : str
        Text and tables; no heading above ``###``.
    data : dict
        Everything measured, as JSON values; ``"claims"`` for the table at the top.
    figures : list of (str, plotly figure)
        File name without ending, and the picture. The report writes
        ``results/detect-<name>.png`` and appends a link to the section's text.
    """

    title: str
    markdown: str
    data: dict[str, Any]
    figures: list[tuple[str, Any]] = []  # noqa: RUF012  (never changed)


def claim(what: str, asked: str, measured: str, met: bool | None) -> list[Any]:
    """Return one row of the table at the top; ``met`` None means 'cannot be judged here'."""
    return [what, asked, measured, None if met is None else bool(met)]
