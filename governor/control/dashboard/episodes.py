"""A storm from its first sign to its end.

*Rule of this file*: samples in, episodes out; time is an argument. An episode
opens with the first sign of trouble at an upstream and closes when none has
been seen for :data:`QUIET_S`. That somebody waits is no trouble by itself, but
an episode is not over while anybody does.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from governor.control.dashboard.rows import (
    CASCADE,
    ENDPOINT_OUT,
    FAN_OUT,
    IN_STEP,
    SATURATED,
    SIGNS,
    STORM,
    WAITING,
)

OPENING = IN_STEP | STORM | CASCADE | SATURATED | FAN_OUT | ENDPOINT_OUT
"""Signs that open an episode."""
LASTING = OPENING | WAITING
"""Signs that keep it open."""

QUIET_S = 5.0
"""A storm's retries come back after seconds of silence: half a typical back-off's cap."""

KEPT = 6
"""Episodes kept, open or closed, over all upstreams."""
SPANS_MAX = 12
"""Spans kept of each sign; an older one gives way."""


class Episode:
    """One stretch of trouble at one upstream."""

    __slots__ = ("ended_s", "last_sign_s", "peaks", "spans", "started_s", "upstream")

    def __init__(self, upstream: str, now_s: float) -> None:
        self.upstream = upstream
        self.started_s = self.last_sign_s = now_s
        self.ended_s: float | None = None
        self.spans: dict[str, deque[list[float]]] = {}
        self.peaks = {"arrivals_hz": 0.0, "waiting": 0.0, "in_flight": 0.0}

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "upstream": self.upstream,
            "started_s": self.started_s,
            "ended_s": self.ended_s,
            "spans": {name: list(spans) for name, spans in self.spans.items()},
            "peaks": self.peaks,
        }


class Episodes:
    """The open episode of each upstream, and the latest of all."""

    def __init__(self) -> None:
        self.kept: deque[Episode] = deque(maxlen=KEPT)
        self._open: dict[str, Episode] = {}

    def observe(
        self, upstream: str, before_s: float, now_s: float, signs: int, **levels: float
    ) -> None:
        """Take in one sample, which stands for the time since ``before_s``.

        Parameters
        ----------
        signs : int
            Bits of :data:`~governor.control.dashboard.rows.SIGNS`.
        levels
            Numbers whose highest is kept: those of ``Episode.peaks``.
        """
        episode = self._open.get(upstream)
        if episode is None:
            if not signs & OPENING:
                return
            episode = self._open[upstream] = Episode(upstream, before_s)
            self.kept.append(episode)
        for bit, name in enumerate(SIGNS):
            if signs >> bit & 1:
                spans = episode.spans.setdefault(name, deque(maxlen=SPANS_MAX))
                if spans and spans[-1][1] >= before_s:
                    spans[-1][1] = now_s
                else:
                    spans.append([before_s, now_s])
        for name, value in levels.items():
            episode.peaks[name] = max(episode.peaks[name], value)
        if signs & LASTING:
            episode.last_sign_s = now_s
        elif now_s - episode.last_sign_s >= QUIET_S:
            episode.ended_s = episode.last_sign_s
            del self._open[upstream]
