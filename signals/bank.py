"""All signals of one upstream behind three calls: an arrival, a departure, a tick.

*Rule of this file*: from Python to the compiled entrance and back. The
detectors are in :mod:`signals.retry` and :mod:`signals.synchrony`.

*Cost*: an arrival is one call of one compiled function on two arrays that live
as long as the bank: no allocation, no Python frame. A good end costs nothing.
Memory is fixed at construction: 70 KB and 112 bytes a flow, touched as flows
appear.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from signals.events import ARRIVAL, FAILURE, TICK, UNMARKED, observe
from signals.kernel import get_entry
from signals.reading import Reading
from signals.state import make_bank, make_flows
from signals.summary import ORGANIC_RATE, READINGS, RETRY_SHARE, RETRY_SYNCHRONY, SYNCHRONY

__all__ = ["UNMARKED", "SignalBank"]


class SignalBank:
    """The signals of one upstream; fixed memory, one writer.

    Parameters
    ----------
    n_flows : int
        Size of the identity table that ``flow`` indexes, overflow entry 0 included.

    Attributes
    ----------
    observe_arrival : Callable[[int, int, int, int, bool], int]
        ``(now_ns, flow, fingerprint, marked_attempt, is_identified) -> attempt``;
        see :func:`signals.events.count_arrival`. Positional only. Instants are
        compared only with each other: any origin will do.

    Examples
    --------
    >>> bank = SignalBank(8)
    >>> bank.observe_arrival(0, 1, 77, UNMARKED, True)
    0
    >>> bank.observe_departure(50_000_000, 1, 77, 0, True)
    >>> bank.observe_arrival(600_000_000, 1, 77, UNMARKED, True)
    1
    """

    __slots__ = ("_bank", "_enter", "_flows", "_values", "observe_arrival")

    observe_arrival: Callable[[int, int, int, int, bool], int]

    def __init__(self, n_flows: int) -> None:
        self._bank = make_bank()
        self._flows = make_flows(n_flows)
        self._values: list[float] = [0.0] * len(READINGS)
        enter = partial(get_entry(observe), self._bank, self._flows)
        self.observe_arrival = partial(enter, ARRIVAL)
        self._enter = enter

    def __repr__(self) -> str:
        return f"SignalBank(n_flows={len(self._flows)}, n_arrivals={self._bank[0]['n_arrivals']})"

    def observe_departure(
        self, now_ns: int, flow: int, fingerprint: int, attempt: int, is_failure: bool
    ) -> None:
        """Take note of one call's end; only a failure leaves a trace, to recognise its retry.

        Failure: status 408, 409, 429 or >= 500 (whoever answered), a broken
        connection, or a caller that left first. A good end changes nothing:
        whoever has the choice need not call.
        """
        if is_failure:
            self._enter(FAILURE, now_ns, flow, fingerprint, attempt, True)

    def tick(self, now_ns: int) -> None:
        """Let time pass and renew the readings; call it every 50 ms or so.

        How often changes no reading.
        """
        self._enter(TICK, now_ns, 0, 0, 0, False)
        self._values = self._bank["values"][0].tolist()

    def organic_hz(self) -> float:
        """Arrivals that are no retries, per second, decayed with 10 s, as of the last tick."""
        return self._values[ORGANIC_RATE]

    def retry_ratio(self) -> float:
        """Share of retries among the arrivals of the last second, as of the last tick."""
        return self._values[RETRY_SHARE]

    def synchrony_nats(self) -> float:
        """The stronger of the two scans over the last second, as of the last tick; 20 alarms."""
        return max(self._values[SYNCHRONY], self._values[RETRY_SYNCHRONY])

    def read(self) -> tuple[Reading, ...]:
        """Return every reading, as of the last tick."""
        samples = self._bank["samples"][0].tolist()
        ready = self._bank["ready"][0].tolist()
        return tuple(
            Reading(name, value, unit, n, bool(is_ready))
            for (name, unit), value, n, is_ready in zip(
                READINGS, self._values, samples, ready, strict=True
            )
        )
