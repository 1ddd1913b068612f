"""What the next moments bring, as the forecast of the last tick has it.

*Rule of this file*: from readings to the three numbers that decisions rest on; read
once a tick, so that no request pays for it.

*Theory*: without a storm alarm the rates of the past are the best guess, and the
forecast says no more than they do. With one, failed callers are about to come back
beyond what can be served: those of them that come spread out are no crowd, and take
the places that a crowd leaves, so they are counted among those that come by themselves.

*Regime*: the alarm needs a capacity to compare with; where none is known it is silent
and everything is as without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from policies.herd import HOLD_MAX_NS
from signals.backoff import BIN_NS
from signals.state import NOT_IN_SIGHT_S

if TYPE_CHECKING:
    from governor.core.others import StormWatch
    from signals import SignalBank

N_HOLD_BINS: Final = HOLD_MAX_NS // BIN_NS
"""As far as a hold reaches."""

N_SPILL_BINS: Final = 10
"""As far as the alarm's own window reaches: 0.5 s."""


class Outlook(NamedTuple):
    """What the next moments bring."""

    is_storm: bool = False
    """Callers that come back are about to pass what can be served, or do."""
    crossing_s: float = NOT_IN_SIGHT_S
    """When they will."""
    held_hz: float = 0.0
    """Arrivals per second of those that come by themselves, while a crowd is held."""
    spill_hz: float = 0.0
    """Arrivals per second of all, within half a second; 0 without an alarm."""


def look_ahead(signals: SignalBank, fleet: StormWatch | None = None) -> Outlook:
    """Return what the signals' last tick says, and what all governors together foresee."""
    organic_hz = signals.organic_hz()
    is_fleet_storm = fleet is not None and fleet.is_on
    if not signals.is_storm() and not is_fleet_storm:
        return Outlook(held_hz=organic_hz)
    held_hz = max(organic_hz, signals.expected_hz(N_HOLD_BINS))
    crossing_s = signals.crossing_s()
    if fleet is not None and is_fleet_storm:
        crossing_s = min(crossing_s, fleet.crossing_s)
    return Outlook(True, crossing_s, held_hz, signals.expected_hz(N_SPILL_BINS))


def count_spill(expected_hz: float, n_endpoints: int, capacity_hz: float) -> float:
    """Return the calls beyond what an endpoint serves that an even share would send it.

    Within half a second; none while its capacity is unknown.

    Examples
    --------
    >>> count_spill(200.0, 2, 60.0), count_spill(200.0, 2, 120.0), count_spill(200.0, 2, 0.0)
    (20.0, 0.0, 0.0)
    """
    if capacity_hz <= 0.0:
        return 0.0
    return max(0.0, expected_hz / n_endpoints - capacity_hz) * N_SPILL_BINS * BIN_NS * 1e-9
