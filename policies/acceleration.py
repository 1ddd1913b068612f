"""Acceleration limit: for providers that throttle how fast demand grows, not how large it is.

*Rule of this file*: a rate envelope and a bucket on a time axis.

*Theory*: some providers answer 429 to a caller whose rate rises steeply though
its quota is far from spent. They ask for a ramp, and a fleet has no way to
agree on one; what stands before the provider has. The envelope E is the rate
that may be sent now. It rises by the factor ``growth`` per minute while it is
used, falls with a half-life of a minute to what is used, and never below
``floor_hz``. Calls take tokens from a bucket that E fills and that holds one
second's worth: a burst within the envelope passes unheld.

*Regime*: off unless the upstream's configuration names a growth: nothing in
the traffic tells such a limit from a quota before it has been broken.

*Source*: Anthropic, "Rate limits" (acceleration limits on sharp increases of usage).
"""

from __future__ import annotations

from math import exp, log
from typing import Final

FLOOR_HZ: Final = 1.0
"""A rate that no provider calls steep."""

HALF_LIFE_NS: Final = 60_000_000_000
"""How fast the envelope forgets demand that has gone."""

MEAN_NS: Final = 2_000_000_000
"""Memory of what is used: a tick of 50 ms is too short to tell a rate."""

USED_SHARE: Final = 0.5
"""The envelope rises only where at least half of it is used."""

_NS_PER_MIN: Final = 60_000_000_000


class Acceleration:
    """The ramp of one upstream.

    Parameters
    ----------
    growth : float
        Factor per minute by which the rate may rise; above 1.
    floor_hz : float
        Rate that is always free, > 0.

    Attributes
    ----------
    envelope_hz : float
        Calls per second that may be sent now.
    """

    __slots__ = (
        "_floor_hz",
        "_log_growth",
        "_n_taken",
        "_ticked_ns",
        "_tokens",
        "_used_hz",
        "envelope_hz",
    )

    def __init__(self, growth: float, floor_hz: float = FLOOR_HZ) -> None:
        if growth <= 1.0:
            raise ValueError(f"growth must be above 1 (a factor per minute), got {growth}")
        if floor_hz <= 0.0:
            raise ValueError(f"floor_hz must be above 0, got {floor_hz}")
        self.envelope_hz = floor_hz
        self._floor_hz = floor_hz
        self._log_growth = log(growth) / _NS_PER_MIN
        self._tokens = max(1.0, floor_hz)
        self._n_taken = 0
        self._used_hz = 0.0
        self._ticked_ns = -1

    @property
    def has_room(self) -> bool:
        """Whether a call may be sent now."""
        return self._tokens >= 1.0

    @property
    def is_settled(self) -> bool:
        """Whether the ramp has come down to its foot, and one late tick is as good as many."""
        return (
            not self._n_taken
            and self.envelope_hz == self._floor_hz
            and self._used_hz < USED_SHARE * self._floor_hz
            and self._tokens >= max(1.0, self._floor_hz)
        )

    def take(self) -> None:
        """Note a call sent; the bucket may be overdrawn by calls that are never held."""
        self._tokens -= 1.0
        self._n_taken += 1

    def tick(self, now_ns: int) -> None:
        """Fill the bucket, and let the envelope follow what was used."""
        elapsed_ns = self._measure(now_ns)
        if not elapsed_ns:
            return
        envelope_hz, used_hz = self.envelope_hz, self._used_hz
        if used_hz >= USED_SHARE * envelope_hz:
            envelope_hz *= exp(min(self._log_growth * elapsed_ns, 50.0))
        else:
            keep = 0.5 ** (elapsed_ns / HALF_LIFE_NS)
            envelope_hz = used_hz + keep * (envelope_hz - used_hz)
        self.envelope_hz = envelope_hz = min(max(envelope_hz, self._floor_hz), 1e9)
        most = max(1.0, envelope_hz)
        self._tokens = min(most, self._tokens + envelope_hz * elapsed_ns * 1e-9)

    def follow(self, now_ns: int) -> None:
        """Let the envelope be what is used: instead of a tick, while nobody asks the ramp.

        So a ramp that is asked again begins at the demand that it finds, not at the floor.
        """
        if self._measure(now_ns):
            self.envelope_hz = min(max(self._used_hz, self._floor_hz), 1e9)
            self._tokens = max(1.0, self.envelope_hz)

    def _measure(self, now_ns: int) -> int:
        """Take in what was used since the last time; return how long ago that is."""
        if self._ticked_ns < 0:
            self._ticked_ns = now_ns
        elapsed_ns = now_ns - self._ticked_ns
        if elapsed_ns <= 0:
            return 0
        self._ticked_ns = now_ns
        keep = exp(-elapsed_ns / MEAN_NS)
        self._used_hz = keep * self._used_hz + (1.0 - keep) * self._n_taken * 1e9 / elapsed_ns
        self._n_taken = 0
        return elapsed_ns
