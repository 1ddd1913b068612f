"""What the other governors of the fleet have at one upstream, as of the last exchange.

*Rule of this file*: numbers that decisions may read; who brings them, and how, is not known here.
Alone, all of them are nought and nothing is decided otherwise than without a fleet.
"""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

from signals import SignalBank
from signals.forecast import BUCKETS
from signals.storm import AWAITED_MIN, RETURN_SHARE

N_WINDOWS: Final = 8
"""Windows of half a second that the forecast is cut into."""

WINDOW_BINS: Final = 10
"""Bins of the forecast in one of them."""

WINDOW_S: Final = 0.5

CALM_NS: Final = 500_000_000
"""The alarm ends when nothing has spoken for it for so long."""


class Wave(NamedTuple):
    """Arrivals of the next 4 s by half seconds, and what the storm alarm asks beside them."""

    arrivals: tuple[float, ...] = (0.0,) * N_WINDOWS
    returns: tuple[float, ...] = (0.0,) * N_WINDOWS
    """Those of them that come back after a failure."""
    awaited: float = 0.0
    """Callers that are out after a failure, or expected to fail."""
    recent: float = 0.0
    """Arrivals of the last half second."""


def read_wave(signals: SignalBank, organic_hz: float) -> Wave:
    """Return what one governor's forecast says, not faded by what it has not met yet.

    Where nobody is awaited back it is organic demand, and costs nothing to tell.
    """
    forecast = signals.state.forecast[0]
    totals = forecast["storm"]["totals"]
    bin_idx = int(signals.state.bank[0]["bucket"]) // BUCKETS - 1
    recent = totals[bin_idx % len(totals)] - totals[(bin_idx - WINDOW_BINS) % len(totals)]
    if not forecast["is_active"]:
        return Wave((organic_hz * WINDOW_S,) * N_WINDOWS, recent=float(recent))
    pending, shape = forecast["pending"], (N_WINDOWS, WINDOW_BINS)
    return Wave(
        tuple(forecast["unfaded"].reshape(shape).sum(axis=1).tolist()),
        tuple(forecast["returns"].reshape(shape).sum(axis=1).tolist()),
        float(pending["n_out"] + pending["n_due"] + forecast["n_failing"]),
        float(recent),
    )


class StormWatch:
    """The storm alarm of the fleet: the rule of :mod:`signals.storm` on sums.

    A storm spread so thin that no governor sees five callers of it is one all the same.
    """

    __slots__ = ("_calm_since_ns", "crossing_s", "is_on", "n_alarms")

    def __init__(self) -> None:
        self.is_on = False
        self.crossing_s = 0.0
        self.n_alarms = 0
        self._calm_since_ns = 0

    def judge(self, now_ns: int, wave: Wave, capacity_hz: float) -> None:
        """Raise, keep or end the alarm by what all governors expect together."""
        served = capacity_hz * WINDOW_S
        threshold = served + sqrt(served)
        first = -1
        if capacity_hz > 0.0 and wave.awaited >= AWAITED_MIN:
            for idx, (n, back) in enumerate(zip(wave.arrivals, wave.returns, strict=True)):
                if n > threshold and back >= max(RETURN_SHARE * n, AWAITED_MIN):
                    first = idx
                    break
        if first >= 0:
            self.crossing_s = 0.0 if wave.recent > threshold else first * WINDOW_S
            self.n_alarms += not self.is_on
            self.is_on = True
            self._calm_since_ns = now_ns
        elif self.is_on and wave.recent > served > 0.0:
            self._calm_since_ns = now_ns
        elif now_ns - self._calm_since_ns >= CALM_NS:
            self.is_on = False


class Others:
    """The rest of the fleet at one upstream.

    Attributes
    ----------
    n_governors : int
        All that share the upstream, this one included; 1 is alone.
    rank : int
        Ours among them.
    waiting, invited : int
        Requests in their lines, and their outstanding invitations.
    organic_hz : float
        Their fresh demand.
    storm : StormWatch
    """

    __slots__ = ("invited", "n_governors", "organic_hz", "rank", "storm", "waiting")

    def __init__(self) -> None:
        self.storm = StormWatch()
        self.rank = 0
        self.alone()

    @property
    def offset(self) -> float:
        """What is added to our part of places before it is cut to whole ones, by our rank."""
        return self.rank % self.n_governors / self.n_governors

    def alone(self) -> None:
        """Forget them: nothing is known of anybody else."""
        self.n_governors = 1
        self.waiting = self.invited = 0
        self.organic_hz = 0.0
        self.storm.is_on = False
