"""Thresholds that set the exit code: ``p99>2s``, ``success<99%``.

*Rule of this file*: words and comparisons; the figures come from
:mod:`governor.load.figures`. A threshold names what must not be: the run fails if
it is so. A figure that does not exist (no task ended) misses its threshold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from governor.config.durations import parse_duration_s

_WORD = re.compile(
    r"(?:(?P<side>[a-z]+):)?\s*(?P<name>[a-z0-9-]+)\s*(?P<sign>[<>])\s*(?P<value>.+)"
)

TIME, SHARE, NUMBER = "a time as in 200ms or 2s", "a share as in 99%", "a number"

METRICS: dict[str, tuple[str, str]] = {
    "success": ("success_ratio", SHARE),
    "p50": ("task_p50_s", TIME),
    "p99": ("task_p99_s", TIME),
    "max": ("task_max_s", TIME),
    "first-byte-p50": ("first_byte_p50_s", TIME),
    "first-byte-p99": ("first_byte_p99_s", TIME),
    "attempts": ("attempts_per_task", NUMBER),
    "goodput": ("goodput_hz", NUMBER),
    "refusals": ("refusals", NUMBER),
    "timeouts": ("timeouts", NUMBER),
    "broken": ("broken", NUMBER),
    "waste": ("waste_ratio", SHARE),
    "lateness": ("late_p99_s", TIME),
}
"""Word -> figure, kind of value."""


@dataclass(frozen=True)
class Threshold:
    """One condition that fails the run.

    Attributes
    ----------
    text : str
        As it was written.
    side : str
        Which side of a comparison; empty for the default.
    figure : str
        A name of the figures.
    is_above : bool
        Whether more than ``bound`` fails, else less.
    bound : float
    """

    text: str
    side: str
    figure: str
    is_above: bool
    bound: float

    def is_missed(self, figures: Mapping[str, float | None]) -> bool:
        """Return whether the figures fail it."""
        value = figures.get(self.figure)
        if value is None or math.isnan(value):
            return True
        return value > self.bound if self.is_above else value < self.bound


def parse_threshold(text: str) -> Threshold:
    """Return the threshold that a word describes.

    Raises
    ------
    ValueError
        Says what is allowed.

    Examples
    --------
    >>> parse_threshold("p99>2s").bound, parse_threshold("governed:success<99%").bound
    (2.0, 0.99)
    """
    match = _WORD.fullmatch(text.strip().lower())
    if match is None or match["name"] not in METRICS:
        names = ", ".join(METRICS)
        raise ValueError(f"must be METRIC>VALUE or METRIC<VALUE, METRIC one of {names}")
    figure, kind = METRICS[match["name"]]
    try:
        bound = _read(match["value"].strip(), kind)
    except ValueError:
        raise ValueError(f"{match['name']} is compared with {kind}") from None
    return Threshold(text.strip(), match["side"] or "", figure, match["sign"] == ">", bound)


def _read(text: str, kind: str) -> float:
    if kind == TIME:
        return parse_duration_s(text)
    if kind == SHARE:
        if not text.endswith("%"):
            raise ValueError
        return float(text[:-1]) / 100.0
    value = float(text.removesuffix("/s"))
    if not math.isfinite(value):
        raise ValueError
    return value
