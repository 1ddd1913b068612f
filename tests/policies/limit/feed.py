"""Cohorts and closed loops that the tests of the limit feed it with."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import exp

from policies.limit import AdaptiveLimit
from policies.limit.control import Control
from policies.limit.phases import Cohort, Kind, Phase

S = 1_000_000_000


def cohort(
    number: int,
    *,
    level: float,
    in_flight: float,
    kind: Kind = Kind.STEADY,
    n: int = 64,
    is_bound: bool = True,
    spread: float = 0.25,
) -> Cohort:
    """Return a cohort of ``n`` equal answers at ``exp(level)`` nanoseconds."""
    phase = Phase(number, kind, 0, n)
    phase.n_dispatched = phase.n_answered = n
    phase.n_bound = n if is_bound else 0
    phase.log_sum = n * level
    phase.log_sq_sum = n * (level * level + spread)
    phase.response_sum_ns = int(n * exp(level + 0.5 * spread))
    phase.in_flight_sum = int(2 * n * in_flight)
    phase.closed_at_ns = 0
    return Cohort(phase, 0)


def pressed_control(level: float, base_level: float) -> Control:
    """Return a control that has met its knee at ``level`` and knows its base."""
    control = Control(32, 1, 10_000)
    for number in range(8):
        control.judge(cohort(number, level=base_level, in_flight=0.4 * level, is_bound=False), 0)
    control.level = level
    control.has_knee = True
    control.proven = 0.0
    return control


def run_closed_loop(
    limit: AdaptiveLimit,
    response_ns: Callable[[int, int], int],
    duration_ns: int,
    start_ns: int = 0,
) -> list[int]:
    """Keep the limit full for a while: callers always wait. Return the limit at each tick.

    ``response_ns(now_ns, in_flight)`` is drawn at dispatch.
    """
    now_ns, tick_ns, n, seq = start_ns, start_ns, 0, 0
    ends: list[tuple[int, int, int, int, int]] = []
    seen: list[int] = []
    while now_ns < start_ns + duration_ns:
        while n < limit.limit:
            n += 1
            seq += 1
            phase = limit.on_dispatch(now_ns, n, True)
            heappush(ends, (now_ns + response_ns(now_ns, n), seq, phase, now_ns, n))
        if ends and ends[0][0] <= tick_ns:
            now_ns, _, phase, sent_ns, n_sent = heappop(ends)
            limit.on_answer(now_ns, phase, sent_ns, n_sent, n)
            n -= 1
            limit.on_depart(now_ns, now_ns - sent_ns, True)
        else:
            now_ns = tick_ns
            limit.tick(now_ns, n)
            seen.append(limit.limit)
            tick_ns += S // 20
    return seen
