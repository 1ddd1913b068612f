"""All signals of one upstream behind three calls: an arrival, a departure, a tick.

*Rule of this file*: the order in which detectors see an event, and the readings
they give. The detectors are in :mod:`signals.retry` and :mod:`signals.synchrony`.

*Cost*: an arrival or a departure is one call of one compiled function on two
arrays that live as long as the bank: no allocation, no Python frame. Memory is
fixed at construction: 70 KB and 112 bytes a flow, touched as flows appear.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import types

from signals.kernel import get_entry, kernel
from signals.reading import Reading
from signals.retry import (
    ATTEMPT_MAX,
    CASCADE_FLOWS,
    CASCADE_SHARE,
    count_retrying,
    keep_failure,
    take_failure,
)
from signals.state import (
    BANK,
    BUCKET_NS,
    FLOWS,
    FRESH,
    N_GAPS,
    N_SCALES,
    RETRY,
    RING_MASK,
    SECOND,
    Records,
    make_bank,
    make_flows,
    read_clock,
)
from signals.synchrony import (
    LAG,
    MERGE_BUCKETS,
    NARROWEST_NS,
    READY_BUCKETS,
    classify_gap,
    is_clock_coarse,
)
from signals.windows import advance

UNMARKED = -1
"""The attempt of an arrival whose headers say nothing: infer it."""

_ARRIVAL = types.int64(
    BANK, FLOWS, types.int64, types.int64, types.float64, types.int64, types.boolean
)
_DEPARTURE = types.void(
    BANK, FLOWS, types.int64, types.int64, types.float64, types.int64, types.boolean
)


@kernel(_ARRIVAL)
def observe_arrival(
    bank: Records,
    flows: Records,
    now_ns: int,
    flow: int,
    fingerprint: float,
    marked_attempt: int,
    is_identified: bool,
) -> int:
    """Count one arrival in every signal; return its attempt, 0 for fresh demand.

    Parameters
    ----------
    flow : int
        Index in the identity table; 0, or anything outside it, is 'unknown'.
    fingerprint : float
        The 64-bit fingerprint; any Python int is taken, signed or not, and
        compared by its leading 53 bits (two shapes of one flow collide with
        chance 2**-53).
    marked_attempt : int
        What a header said; ``UNMARKED`` to infer.
    """
    t_ns = read_clock(bank, now_ns)
    advance(bank, t_ns)
    s = bank[0]
    who = flow if 0 < flow < len(flows) else 0
    gap_ns = t_ns - s["last_arrival_ns"]
    s["gaps"][s["n_gaps"] % N_GAPS] = gap_ns
    s["n_gaps"] += 1
    s["last_arrival_ns"] = t_ns
    s["open_arrivals"] += 1
    s["n_arrivals"] += 1
    if who == 0 or not is_identified:
        s["open_unidentified"] += 1
    scale = N_SCALES - 1 if who == 0 else classify_gap(t_ns - flows[who]["last_ns"])
    if scale >= 0:
        s["open_fresh"][FRESH, scale] += 1
    flows[who]["last_ns"] = t_ns

    attempt = 0
    if marked_attempt != 0 and who != 0:
        attempt = take_failure(flows, who, fingerprint, t_ns)
    if marked_attempt >= 0:
        attempt = min(marked_attempt, ATTEMPT_MAX)
    if attempt > 0:
        previous_ns = flows[who]["last_retry_ns"]
        scale = N_SCALES - 1 if who == 0 else classify_gap(t_ns - previous_ns)
        if scale >= 0:
            s["open_fresh"][RETRY, scale] += 1
        s["open_retries"] += 1
        s["n_retries"] += 1
        count_retrying(bank, t_ns // BUCKET_NS, previous_ns // BUCKET_NS)
        flows[who]["last_retry_ns"] = t_ns
    return attempt


@kernel(_DEPARTURE)
def observe_departure(
    bank: Records,
    flows: Records,
    now_ns: int,
    flow: int,
    fingerprint: float,
    attempt: int,
    is_failure: bool,
) -> None:
    """Count one call's end; a failure is remembered, to recognise its retry.

    Failure: status 408, 409, 429 or >= 500 (whoever answered), a broken
    connection, or a caller that left first.
    """
    t_ns = read_clock(bank, now_ns)
    advance(bank, t_ns)
    s = bank[0]
    s["open_departures"] += 1
    s["n_departures"] += 1
    if is_failure:
        s["open_failures"] += 1
        s["n_failures"] += 1
        if 0 < flow < len(flows):
            keep_failure(flows, flow, fingerprint, attempt, t_ns)


@kernel(types.void(BANK, types.int64))
def observe_tick(bank: Records, now_ns: int) -> None:
    """Let time pass: close the buckets that have ended."""
    advance(bank, read_clock(bank, now_ns))


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
        see :func:`observe_arrival`. Positional only. Instants are compared only
        with each other: any origin will do.
    observe_departure : Callable[[int, int, int, int, bool], None]
        ``(now_ns, flow, fingerprint, attempt, is_failure)``; see
        :func:`observe_departure`. Positional only.

    Examples
    --------
    >>> bank = SignalBank(8)
    >>> bank.observe_arrival(0, 1, 77, UNMARKED, True)
    0
    >>> bank.observe_departure(50_000_000, 1, 77, 0, True)
    >>> bank.observe_arrival(600_000_000, 1, 77, UNMARKED, True)
    1
    """

    __slots__ = (
        "_bank",
        "_flows",
        "_organic_hz",
        "_retry_ratio",
        "_synchrony_nats",
        "_tick",
        "observe_arrival",
        "observe_departure",
    )

    observe_arrival: Callable[[int, int, int, int, bool], int]
    observe_departure: Callable[[int, int, int, int, bool], None]

    def __init__(self, n_flows: int) -> None:
        self._bank = make_bank()
        self._flows = make_flows(n_flows)
        self._organic_hz = 0.0
        self._retry_ratio = 0.0
        self._synchrony_nats = 0.0
        self.observe_arrival = partial(get_entry(observe_arrival), self._bank, self._flows)
        self.observe_departure = partial(get_entry(observe_departure), self._bank, self._flows)
        self._tick = partial(get_entry(observe_tick), self._bank)

    def __repr__(self) -> str:
        s = self._bank[0]
        return f"SignalBank(n_flows={len(self._flows)}, n_arrivals={s['n_arrivals']})"

    def tick(self, now_ns: int) -> None:
        """Let time pass; call it every 50 ms or so. How often changes no reading."""
        self._tick(now_ns)
        s = self._bank[0]
        self._organic_hz = _compute_rate_hz(s["organic_10s"], s["weight_10s"])
        self._retry_ratio = _compute_ratio(s["retries_1s"], s["arrivals_1s"])
        self._synchrony_nats = _compute_nats(self._bank)

    def organic_hz(self) -> float:
        """Arrivals that are no retries, per second, decayed with 10 s, as of the last tick."""
        return self._organic_hz

    def retry_ratio(self) -> float:
        """Share of retries among the arrivals of the last second, as of the last tick."""
        return self._retry_ratio

    def synchrony_nats(self) -> float:
        """The stronger of the two scans over the last second, as of the last tick; 20 alarms."""
        return self._synchrony_nats

    def read(self) -> tuple[Reading, ...]:
        """Return every reading, as of the last bucket closed."""
        return (*_read_rates(self._bank), *_read_scans(self._bank), *_read_quality(self._bank))


def _compute_rate_hz(total: float, weight: float) -> float:
    """Turn a decayed sum over buckets into a rate; at least one second stands behind it."""
    return float(total) * SECOND / max(float(weight), float(SECOND))


def _compute_ratio(part: float, whole: float) -> float:
    """Divide, calling less than a hundredth of an event nothing at all."""
    return min(1.0, float(part) / float(whole)) if whole >= 0.01 else 0.0


def _compute_nats(bank: Records) -> float:
    """The strongest window of the last second in either stream."""
    s = bank[0]
    strongest = 0.0
    for stream in (FRESH, RETRY):
        if s["bucket"] - s["peak_bucket"][stream] <= MERGE_BUCKETS + 1:
            strongest = max(strongest, float(s["peak_nats"][stream]))
    return strongest


def _read_rates(bank: Records) -> tuple[Reading, ...]:
    """Rates and shares of the last second (organic demand: ten)."""
    s = bank[0]
    n, n_retries = int(s["n_arrivals"]), int(s["n_retries"])
    is_ready = bool(s["n_closed"] >= SECOND)
    share = _compute_ratio(s["retries_1s"], s["arrivals_1s"])
    n_retrying = int(s["n_retrying"])
    is_cascade = share >= CASCADE_SHARE and n_retrying >= CASCADE_FLOWS
    failed = _compute_ratio(s["failures_1s"], s["departures_1s"])
    arrival_hz = _compute_rate_hz(s["arrivals_1s"], s["weight_1s"])
    organic_hz = _compute_rate_hz(s["organic_10s"], s["weight_10s"])
    return (
        Reading("arrival_rate", arrival_hz, "hz", n, is_ready),
        Reading("organic_rate", organic_hz, "hz", n - n_retries, is_ready),
        Reading("retry_share", share, "ratio", n, is_ready),
        Reading("retrying_flows", float(n_retrying), "flows", n_retries, is_ready),
        Reading("failure_share", failed, "ratio", int(s["n_departures"]), is_ready),
        Reading("cascade", float(is_cascade), "bool", n_retries, is_ready),
    )


def _read_scans(bank: Records) -> tuple[Reading, ...]:
    """The strongest window of the last second in each stream, and the alarms."""
    s = bank[0]
    bucket = int(s["bucket"])
    readings: list[Reading] = []
    for name, stream in (("synchrony", FRESH), ("retry_synchrony", RETRY)):
        is_ready = bool(s["slow_n"] >= READY_BUCKETS) if stream == FRESH else bool(s["n_closed"])
        is_recent = bucket - int(s["peak_bucket"][stream]) <= MERGE_BUCKETS + 1
        count = int(s["peak_count"][stream]) if is_recent else 0
        nats = float(s["peak_nats"][stream]) if is_recent else 0.0
        excess = max(0.0, count - float(s["peak_expected"][stream])) if nats > 0.0 else 0.0
        width_s = (NARROWEST_NS << int(s["peak_scale"][stream])) / 1e9 if nats > 0.0 else 0.0
        is_alarm = bucket - int(s["alarm_bucket"][stream]) <= MERGE_BUCKETS
        readings += (
            Reading(name, nats, "nats", count, is_ready),
            Reading(f"{name}_excess", excess, "flows", count, is_ready),
            Reading(f"{name}_width", width_s, "seconds", count, is_ready),
            Reading(f"{name}_alarm", float(is_alarm), "bool", count, is_ready),
            Reading(f"{name}_alarms", float(s["n_alarms"][stream]), "count", count, is_ready),
        )
    is_hint = bucket - int(s["hint_bucket"]) <= MERGE_BUCKETS
    is_ready = bool(s["slow_n"] >= READY_BUCKETS)
    n_hints = int(s["n_hints"])
    readings.append(Reading("synchrony_hint", float(is_hint), "bool", n_hints, is_ready))
    return tuple(readings)


def _read_quality(bank: Records) -> tuple[Reading, ...]:
    """How far the scans can be trusted: identity and clock."""
    s = bank[0]
    newest = (int(s["bucket"]) - 1) & RING_MASK
    oldest = (newest - LAG) & RING_MASK
    seen = int(s["cum_arrivals"][newest] - s["cum_arrivals"][oldest])
    unidentified = int(s["cum_unidentified"][newest] - s["cum_unidentified"][oldest])
    identified = 1.0 - unidentified / seen if seen else 0.0
    is_coarse: Any = is_clock_coarse(bank)
    n_gaps = min(int(s["n_gaps"]), N_GAPS)
    return (
        Reading("identified_share", identified, "ratio", seen, seen > 0),
        Reading("coarse_clock", float(is_coarse), "bool", n_gaps, n_gaps == N_GAPS),
    )
