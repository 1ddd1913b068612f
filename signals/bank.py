"""All signals of one upstream: an arrival, what happens to it later, a tick.

*Rule of this file*: from Python to the compiled entrances and back. The
detectors are in files of their own.

*Cost*: an event is one call of one compiled function with numbers only: no
allocation. Memory is fixed at construction and touched as callers appear.

Two ways in. The ``observe_…`` methods take care of time themselves. The gate,
which counts every nanosecond, uses ``arrive`` and ``note`` directly and keeps
their one rule: call :meth:`SignalBank.advance` first whenever ``boundary_ns``
has been reached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from signals.contention import find_costliest
from signals.culprits import Culprits, find_culprits
from signals.events import (
    ANSWERED,
    CALLER,
    FIRST_BYTE,
    GONE,
    LEFT,
    UNMARKED,
    arrive,
    note,
    pass_time,
    tell_quota,
)
from signals.fanout import Explosion, list_explosions
from signals.kernel import IS_COMPILED, get_entry
from signals.memory import Shared, make_root, make_state
from signals.propagation import ServiceRow, describe_services
from signals.reading import Reading
from signals.rows import RowUse, describe_rows
from signals.summary import (
    N_READINGS,
    ORGANIC_RATE,
    READINGS,
    RETRY_SHARE,
    RETRY_SYNCHRONY,
    SYNCHRONY,
)

__all__ = ["UNMARKED", "SignalBank"]

_LONG_AGO_NS = -(1 << 62)
_PLACES = {name: place for place, (name, _) in enumerate(READINGS)}
_STORM_ALARM = _PLACES["storm_alarm"]
_STORM_CROSSING = _PLACES["storm_crossing"]


class SignalBank:
    """The signals of one upstream; fixed memory, one writer.

    Parameters
    ----------
    n_flows : int
        Size of the identity table that ``flow`` indexes, overflow entry 0 included; what one
        does here is kept in the shared pool of rows.
    shared : Shared, optional
        Memory that the upstreams of a process share; a small one of its own if left out.
    upstream : int
        This upstream's number among those that share.
    n_tenants : int, optional
        Size of the table that ``tenant`` indexes, overflow entry 0 included.

    Attributes
    ----------
    arrive, note : Callable
        The compiled entrances, see :mod:`signals.events`; positional only, ``root`` first.
    root : int
        Where their memory is.
    boundary_ns : int
        When the open bucket ends. An event at or after it needs :meth:`advance` first.

    Examples
    --------
    >>> bank = SignalBank(8)
    >>> call = bank.observe_arrival(0, 1, 1, 1, 77, UNMARKED, 0, True)
    >>> bank.observe_end(50_000_000, call, 1)
    >>> bank.observe_arrival(600_000_000, 1, 1, 1, 77, UNMARKED, 0, True) & 127
    1
    """

    __slots__ = (
        "_pass_time",
        "_roots",
        "_tell_quota",
        "_values",
        "arrive",
        "boundary_ns",
        "note",
        "root",
        "state",
    )

    arrive: Callable[..., int]
    note: Callable[[int, int, int, int, int], int]

    def __init__(
        self,
        n_flows: int,
        shared: Shared | None = None,
        upstream: int = 0,
        n_tenants: int = 4_096,
    ) -> None:
        self.state = make_state(shared or Shared(1_024), n_flows, n_tenants, N_READINGS)
        self.state.bank[0]["upstream"] = upstream
        self._roots = make_root(self.state)
        self.root = root = int(self._roots.ctypes.data) if IS_COMPILED else cast(Any, self.state)
        self.arrive = get_entry(arrive)
        self.note = get_entry(note)
        self._tell_quota = partial(get_entry(tell_quota), root)
        self._pass_time = partial(get_entry(pass_time), root)
        self._values: list[float] = [0.0] * N_READINGS
        self.boundary_ns = _LONG_AGO_NS

    def __repr__(self) -> str:
        b = self.state.bank[0]
        return f"SignalBank(n_flows={b['n_flows']}, n_arrivals={b['n_arrivals']})"

    # -- events -------------------------------------------------------------

    def observe_arrival(
        self,
        now_ns: int,
        tenant: int,
        flow: int,
        tree: int,
        fingerprint: int,
        marked_attempt: int = UNMARKED,
        family: int = 0,
        is_identified: bool = True,
        patience_ns: int = 0,
    ) -> int:
        """Count an arrival; return its handle. See :func:`signals.events.arrive`."""
        if now_ns >= self.boundary_ns:
            self.advance(now_ns)
        return self.arrive(
            self.root,
            now_ns,
            tenant,
            flow,
            tree,
            fingerprint,
            marked_attempt,
            family,
            is_identified,
            patience_ns,
        )

    def observe_answer(self, now_ns: int, call: int) -> None:
        """Count the first byte of an answer that is not complete yet."""
        self._note(FIRST_BYTE, now_ns, call, 0)

    def observe_leave(self, now_ns: int, call: int) -> None:
        """Count a caller that left; its call stays open until its end is told."""
        self._note(LEFT, now_ns, call, 0)

    def observe_end(
        self, now_ns: int, call: int, how: int = ANSWERED, retry_after_ns: int = 0
    ) -> None:
        """Count a call's end; a second one changes nothing.

        Parameters
        ----------
        how : int
            ``ANSWERED``, ``FAILED``, ``REFUSED`` or ``GONE``.
        retry_after_ns : int
            How long its caller was asked to stay away; 0 if it was not told.

        Raises
        ------
        ValueError
            ``how`` is none of the four.
        """
        if not ANSWERED <= how <= GONE:
            raise ValueError(f"how is {how}: must be ANSWERED, FAILED, REFUSED or GONE (0..3)")
        self._note(how, now_ns, call, retry_after_ns)

    def note_caller(self, now_ns: int, call: int, upstream: int) -> None:
        """Take note that an upstream of this process made the call, where its number is known."""
        self._note(CALLER, now_ns, call, upstream)

    def _note(self, kind: int, now_ns: int, call: int, value: int) -> None:
        if now_ns >= self.boundary_ns:
            self.advance(now_ns)
        self.note(self.root, kind, now_ns, call, value)

    def advance(self, now_ns: int) -> None:
        """Close the buckets that have ended; due when ``boundary_ns`` is reached."""
        self.boundary_ns = self._pass_time(now_ns, False)

    def tick(self, now_ns: int) -> None:
        """Let time pass and renew the readings; call it every 50 ms or so.

        How often changes no reading.
        """
        self.boundary_ns = self._pass_time(now_ns, True)
        self._values = self.state.readings["value"].tolist()

    def note_quota(
        self,
        now_ns: int,
        tenant: int,
        kind: int,
        limit: float,
        remaining: float,
        reset_ns: int = 0,
    ) -> None:
        """Take in what a provider's headers say is left; see :func:`signals.quota.note_quota`."""
        if now_ns >= self.boundary_ns:
            self.advance(now_ns)
        self._tell_quota(now_ns, tenant, kind, limit, remaining, reset_ns)

    def costliest_tenants(self, n: int) -> list[tuple[int, float, float, float]]:
        """Return (tenant, s caused, s suffered, share) of the last ten seconds, costliest first."""
        return find_costliest(self.state.contention, self.state.tenants, n)

    # -- readings, as of the last tick ----------------------------------------

    def organic_hz(self) -> float:
        """Arrivals that are no retries, per second, decayed with 10 s."""
        return self._values[ORGANIC_RATE]

    def retry_ratio(self) -> float:
        """Share of retries among the arrivals of the last second."""
        return self._values[RETRY_SHARE]

    def synchrony_nats(self) -> float:
        """The stronger of the two scans over the last second; 20 alarms."""
        return max(self._values[SYNCHRONY], self._values[RETRY_SYNCHRONY])

    @property
    def is_settled(self) -> bool:
        """Whether no caller is out that may come back: no storm can rise without an arrival."""
        f = self.state.forecast[0]
        pending = f["pending"]
        return not (f["is_active"] or pending["n_out"] or pending["n_due"] or f["storm"]["is_on"])

    def is_storm(self) -> bool:
        """Whether callers that come back are about to pass what can be served, or do."""
        return self._values[_STORM_ALARM] > 0.0

    def crossing_s(self) -> float:
        """When they will, seconds from now; 0: by now; an hour: not in sight."""
        return self._values[_STORM_CROSSING]

    def expected_hz(self, n_bins: int) -> float:
        """Arrivals per second that are expected in the next ``n_bins`` (1 to 80) of 50 ms."""
        return 20.0 * float(self.state.forecast[0]["faded"][:n_bins].mean())

    def explosions(self) -> tuple[Explosion, ...]:
        """Return the latest fan-outs that exploded, over all upstreams of the process."""
        return list_explosions(self.state.fanout, int(self.state.process[0]["now_ns"]))

    def forecast_hz(self) -> tuple[float, ...]:
        """Expected arrivals per second in each of the next 80 bins of 50 ms."""
        return tuple(20.0 * n for n in self.state.forecast[0]["faded"].tolist())

    def culprits(self, n: int = 5) -> Culprits:
        """Return whom the failures that have not come back belong to; for people, not per tick."""
        p = self.state.process[0]
        used = self.state.flows[: int(p["n_rows_used"]) + 1]
        return find_culprits(used, int(self.state.bank[0]["upstream"]), int(p["now_ns"]), n)

    def describe_rows(self) -> RowUse:
        """Return how full the process's pool of rows is, and how many found no place in it."""
        return describe_rows(self.state.process, self.state.flows)

    def describe_services(self) -> list[ServiceRow]:
        """Return a row for each service of the process, the most shifted first."""
        return describe_services(self.state.services)

    def read(self) -> tuple[Reading, ...]:
        """Return every reading."""
        rows = self.state.readings.tolist()
        return tuple(
            Reading(name, value, unit, int(samples), ready != 0.0)
            for (name, unit), (value, samples, ready) in zip(READINGS, rows, strict=True)
        )
