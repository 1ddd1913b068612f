"""What an endpoint serves: departure rate, mean lease, and the capacity they imply.

*Theory*: while callers wait, the departure rate is the capacity. While nobody
does, it only tells the demand; then capacity is the in-flight limit over the
mean lease (Little's law). Invitations to come back are spaced by the best
throughput seen lately, for the rate of a stall would spread them ten times too
thin and they cannot be recalled.

*Considered and rejected*: departures alone (after a quiet spell they sent
callers away from an idle service for 40 s).
"""

from __future__ import annotations

from typing import Final

from policies.limit.protocol import NS_PER_S

STEP_NS: Final = 200_000_000
"""Departures are counted over steps of 0.2 s: >= 6 departures at 32/s."""

RATE_GAIN: Final = 0.3
"""Gain of the departure rate per step: a memory of about 0.6 s."""

LEASE_GAIN: Final = 0.3
"""Gain of the mean lease per step that closed leases."""

BEST_DECAY: Final = 0.999
"""Decay of the best capacity per step: half in about 2.5 min."""

UNTRIED: Final = 1.25
"""While nobody waits, the endpoint is taken to serve a quarter more than it is asked to."""

STREAM_LEASES: Final = 2.0
"""Calls held for more than twice the time to their first byte hold places that wait for nothing."""

PRESS_GAP_NS: Final = 1_000_000_000
"""A press that pauses for less than this goes on."""

N_PRESSED_MIN: Final = 16
"""Departures under press before their rate is remembered as the best: noise of 25 %."""

PRESS_NS_MIN: Final = 500_000_000.0
"""A press shorter than half a second measures nothing: a pause for memory is no standstill."""

RATE_MIN_HZ: Final = 0.01
"""Capacity of an endpoint that lets nobody go: not 0, which would mean unknown."""

N_STEPS_MAX: Final = 600
"""Steps made up for after a silence; 2 min leave nothing of the old rate."""


class Throughput:
    """Departure rate and mean lease of one endpoint.

    The owner counts (``n_departed``, ``held_ns``) on its hot path and calls
    :meth:`advance` now and then.

    Attributes
    ----------
    first_ns : float
        Mean time to first byte of the calls answered lately; as long as the lease where answers
        come whole, for then both are taken from the same calls.
    rate_hz : float
        Departures now, whatever the demand.
    pressed_hz : float
        Departures since callers began to wait; 0.0 while that says nothing.
    """

    __slots__ = (
        "_n_pressed",
        "_n_steps",
        "_press_ns",
        "_pressed_at_ns",
        "_step_at_ns",
        "best_hz",
        "first_ns",
        "first_sum_ns",
        "held_ns",
        "is_pressed",
        "lease_ns",
        "n_answered",
        "n_departed",
        "pressed_hz",
        "rate_hz",
    )

    def __init__(self) -> None:
        self.n_departed = 0
        self.held_ns = 0
        self.n_answered = 0
        self.first_sum_ns = 0
        self.first_ns = 0.0
        self.rate_hz = 0.0
        self.pressed_hz = 0.0
        self.lease_ns = 0.0
        self.best_hz = 0.0
        self.is_pressed = False
        self._n_steps = 0
        self._n_pressed = 0
        self._press_ns = 0
        self._pressed_at_ns = -PRESS_GAP_NS
        self._step_at_ns = -1

    @property
    def is_settled(self) -> bool:
        """Whether nothing was counted since the last step: one late call is as good as many."""
        return not (self.n_departed or self.n_answered)

    def advance(self, now_ns: int, is_pressed: bool) -> None:
        """Close the step if it is over. ``is_pressed``: the limit is reached now."""
        if self._step_at_ns < 0:
            self._step_at_ns = now_ns
        elapsed_ns = now_ns - self._step_at_ns
        if elapsed_ns < STEP_NS:
            return
        if self.is_settled:  # in a silence steps end as if ticks had been on time
            elapsed_ns -= elapsed_ns % STEP_NS
        self._step_at_ns += elapsed_ns
        step_hz = self.n_departed * NS_PER_S / elapsed_ns
        n_steps = min(elapsed_ns / STEP_NS, N_STEPS_MAX)
        gain = 1.0 - (1.0 - RATE_GAIN) ** n_steps
        self.rate_hz += gain * (step_hz - self.rate_hz)
        if self.n_departed:
            lease_ns = self.held_ns / self.n_departed
            if self.lease_ns == 0.0:
                self.lease_ns = lease_ns
            self.lease_ns += min(1.0, LEASE_GAIN * n_steps) * (lease_ns - self.lease_ns)
        if self.n_answered:
            first_ns = self.first_sum_ns / self.n_answered
            if self.first_ns == 0.0:
                self.first_ns = first_ns
            self.first_ns += min(1.0, LEASE_GAIN * n_steps) * (first_ns - self.first_ns)
        self.best_hz *= BEST_DECAY**n_steps
        self._learn_pressed(now_ns, elapsed_ns, is_pressed, step_hz, gain)
        best_hz = self.pressed_hz if self._n_pressed >= N_PRESSED_MIN else UNTRIED * self.rate_hz
        if best_hz > self.best_hz:
            self.best_hz = best_hz
        self.n_departed = self.n_answered = 0
        self.held_ns = self.first_sum_ns = 0

    def _learn_pressed(
        self, now_ns: int, elapsed_ns: int, is_pressed: bool, step_hz: float, gain: float
    ) -> None:
        """Measure the rate under press by itself: the slack before it says nothing of capacity.

        The measure begins when the press has lasted one lease, for all places may have been taken
        at once and end at once; and its memory is at least one lease: 32 leases of 20 s end at
        1.6/s, and a second without an end is nothing unusual.
        """
        if is_pressed and self.is_pressed:
            self._press_ns += elapsed_ns
            if self._press_ns > self.lease_ns > 0.0:
                self._n_steps += 1
                self._n_pressed += self.n_departed
                gain = max(min(gain, elapsed_ns / self.lease_ns), 1.0 / self._n_steps)
                self.pressed_hz += gain * (step_hz - self.pressed_hz)
        elif is_pressed and now_ns - self._pressed_at_ns > PRESS_GAP_NS:
            self._n_steps = self._n_pressed = self._press_ns = 0
            self.pressed_hz = 0.0
        if is_pressed:
            self._pressed_at_ns = now_ns
        else:
            self._n_pressed = 0
        self.is_pressed = is_pressed

    @property
    def share(self) -> float:
        """Share of a lease that waits for its first byte; 1.0 unless that is less than half."""
        is_stream = STREAM_LEASES * self.first_ns < self.lease_ns and self.first_ns > 0.0
        return self.first_ns / self.lease_ns if is_stream else 1.0

    def capacity_hz(self, limit: int) -> float:
        """Return the present capacity under ``limit`` requests in flight; 0.0 if unknown.

        Unknown until a lease has ended: else a service that takes 5 s a call would seem to stand
        still from the first instant that all its places were taken.
        """
        if self.lease_ns == 0.0:
            return 0.0
        press_ns = max(2.0 * self.lease_ns, PRESS_NS_MIN)
        if self.is_pressed and self._n_steps and self._press_ns >= press_ns:
            return max(self.pressed_hz, RATE_MIN_HZ)
        return limit * NS_PER_S / self.lease_ns

    def best_capacity_hz(self, limit: int, proven: float = 0.0) -> float:
        """Return the best capacity known; before any departure was counted, Little's law.

        Who has answered ``proven`` requests in flight serves at least that many per lease,
        however few came lately.
        """
        if self.best_hz == 0.0:
            return self.capacity_hz(limit)
        proven_hz = proven * NS_PER_S / self.lease_ns if self.lease_ns > 0.0 else 0.0
        return max(self.best_hz, self.pressed_hz if self.is_pressed else self.rate_hz, proven_hz)
