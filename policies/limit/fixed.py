"""A limit set by someone who knows: ``limit: 32`` in the configuration.

Also the oracle of ``bench/limit``: whoever runs the service could set it at
the true capacity, and nothing adaptive is expected to do better.
"""

from __future__ import annotations

from policies.limit.refusals import Refusals
from policies.limit.throughput import Throughput

RESPONSE_GAIN = 0.05
"""Gain of the mean response time per answer: a memory of 20 answers."""


class FixedLimit:
    """Always ``limit`` requests in flight; measures throughput, decides nothing.

    Parameters
    ----------
    limit : int
        Requests in flight, >= 1. May be assigned later.
    """

    __slots__ = ("_n_answered", "_refusals", "_response_ns", "_throughput", "limit")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit must be >= 1, got {limit}")
        self.limit = limit
        self._throughput = Throughput()
        self._refusals = Refusals()
        self._n_answered = 0
        self._response_ns = 0.0

    def on_dispatch(self, now_ns: int, in_flight: int, is_bound: bool) -> int:
        """Note a request sent; there are no phases."""
        return 0

    def on_late(self, phase: int, late_ns: int) -> None:
        """Note that a request went out later than was noted; nothing depends on it."""

    def on_answer(
        self,
        now_ns: int,
        phase: int,
        dispatched_at_ns: int,
        in_flight_at_dispatch: int,
        in_flight: int,
    ) -> None:
        """Note the first byte of a normal answer."""
        self._n_answered += 1
        sample_ns = now_ns - dispatched_at_ns
        if self._response_ns == 0.0:
            self._response_ns = float(sample_ns)
        self._response_ns += RESPONSE_GAIN * (sample_ns - self._response_ns)

    def on_depart(self, now_ns: int, held_ns: int, is_answered: bool) -> None:
        """Note a closed lease."""
        if is_answered:
            self._throughput.n_departed += 1
            self._throughput.held_ns += held_ns

    def on_refused(self, now_ns: int, in_flight_at_dispatch: int) -> None:
        """Note that the upstream turned a call away: the limit stays, the accepted rate counts."""
        self._refusals.on_refused(now_ns, in_flight_at_dispatch)

    def lift(self, now_ns: int) -> None:
        """Change nothing: the limit is what it was told."""

    def disbelieve(self, now_ns: int) -> None:
        """Take note that the refusals spare some callers: the accepted rate says nothing either."""
        self._refusals.disbelieve(now_ns)

    def note_elsewhere(self, n_departed: int, held_ns: int) -> None:
        """Count answered calls that others sent to the endpoint, and how long they held it."""
        self._throughput.n_departed += n_departed
        self._throughput.held_ns += held_ns

    def follow(self, limit: int, level: float, has_knee: bool) -> int:
        """Stay: what was told here is told to all."""
        return self.limit

    @property
    def level(self) -> float:
        """As told."""
        return float(self.limit)

    @property
    def has_knee(self) -> bool:
        """What was told is where it stands."""
        return True

    @property
    def is_settled(self) -> bool:
        """Whether one late tick does what many on time would, while no call is sent."""
        return self._throughput.is_settled and self._refusals.is_settled

    @property
    def is_stalled(self) -> bool:
        """A fixed limit does not watch for it."""
        return False

    def tick(self, now_ns: int, in_flight: int) -> None:
        """Advance the throughput."""
        self._throughput.advance(now_ns, in_flight >= self.limit)
        self._refusals.tick(now_ns, in_flight, self._n_answered)

    def capacity_hz(self, now_ns: int) -> float:
        """Return what the endpoint can serve, requests per second; 0.0 if unknown."""
        return self._refusals.bound_hz(now_ns, self._throughput.capacity_hz(self.limit))

    def best_capacity_hz(self, now_ns: int) -> float:
        """Return the best known capacity; 0.0 if unknown."""
        best_hz = self._throughput.best_capacity_hz(self.limit)
        return self._refusals.bound_hz(now_ns, best_hz)

    def response_ns(self) -> int:
        """Return the mean time to the first byte of recent answers; 0 if unknown."""
        return int(self._response_ns)

    def explain(self) -> dict[str, float | int | str]:
        """Return what the limit knows, for people."""
        return {
            "kind": "fixed",
            "limit": self.limit,
            "response_s": self._response_ns * 1e-9,
            "departures_hz": self._throughput.rate_hz,
        }
