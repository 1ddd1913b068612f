"""Streams: places held past the first byte, and a queue that hides behind them."""

from __future__ import annotations

from heapq import heappop, heappush
from math import log

from policies.limit import AdaptiveLimit
from policies.limit.control import Control
from policies.limit.phases import Kind
from policies.limit.swing import limit_in
from policies.limit.throughput import STEP_NS, Throughput
from tests.policies.limit.feed import S, pressed_control

N_SLOTS = 40
FIRST_NS, HOLD_NS, EVERY_NS = S // 2, 8 * S, S // 6


def run_streams(limit: AdaptiveLimit, duration_ns: int) -> tuple[int, int]:
    """Send 6 streams a second of 8.5 s each to 40 slots: 128 %, nobody waits unless limited.

    Return the limit and what is in flight at the end.
    """
    events: list[tuple[int, int, str, int, int, int]] = [(0, 0, "arrive", 0, 0, 0)]
    queue: list[tuple[int, int, int]] = []
    order = n = n_on_slots = n_line = 0

    def push(at_ns: int, what: str, phase: int = 0, sent_ns: int = 0, n_sent: int = 0) -> None:
        nonlocal order
        order += 1
        heappush(events, (at_ns, order, what, phase, sent_ns, n_sent))

    def dispatch(now_ns: int, is_bound: bool) -> None:
        nonlocal n, n_on_slots
        n += 1
        call = (limit.on_dispatch(now_ns, n, is_bound), now_ns, n)
        if n_on_slots < N_SLOTS:
            n_on_slots += 1
            push(now_ns + FIRST_NS, "first", *call)
        else:
            queue.append(call)

    push(0, "tick")
    while events[0][0] < duration_ns:
        now_ns, _, what, phase, sent_ns, n_sent = heappop(events)
        if what == "arrive":
            push(now_ns + EVERY_NS, "arrive")
            n_line += 1
        elif what == "tick":
            push(now_ns + S // 20, "tick")
            limit.tick(now_ns, n)
        elif what == "first":
            limit.on_answer(now_ns, phase, sent_ns, n_sent, n)
            push(now_ns + HOLD_NS, "end", phase, sent_ns, n_sent)
        else:
            n -= 1
            n_on_slots -= 1
            limit.on_depart(now_ns, now_ns - sent_ns, True)
            if queue:
                n_on_slots += 1
                push(now_ns + FIRST_NS, "first", *queue.pop(0))
        while n_line and n < limit.limit:
            n_line -= 1
            dispatch(now_ns, n_line > 0 or n + 1 >= limit.limit)
    return limit.limit, n


def test_the_limit_stands_at_the_slots_of_a_service_of_streams() -> None:
    """Twice what was proven would be 80 for 40 slots; within 40 s it is the slots, within 10 %."""
    found, in_flight = run_streams(AdaptiveLimit(1), 40 * S)
    assert 0.9 * N_SLOTS <= found <= 1.1 * N_SLOTS
    assert in_flight >= 0.9 * N_SLOTS


def test_whole_answers_are_no_streams() -> None:
    """First byte and lease of the same calls are equal, whatever their lengths: share 1."""
    throughput = Throughput()
    throughput.advance(0, False)
    for number in range(1, 50):
        response_ns = S * (1 + number % 7 * 9)
        throughput.n_answered += 1
        throughput.n_departed += 1
        throughput.first_sum_ns += response_ns
        throughput.held_ns += response_ns
        throughput.advance(number * STEP_NS, False)
        assert throughput.share == 1.0


def test_probes_move_what_waits_for_its_first_byte() -> None:
    """A dip of a service that streams for ten times its prefill is a tenth as deep."""
    control = pressed_control(200.0, log(0.5e9))
    assert limit_in(Kind.DIP, control) == 140
    control.share = 0.1
    assert limit_in(Kind.DIP, control) == 194
    assert limit_in(Kind.REACH, control) == 210


def test_the_fall_of_a_service_of_streams_counts_what_it_serves() -> None:
    """The level falls to the calls past their first byte, not by the ratio of response times."""
    control = Control(334, 1, 10_000)
    control.share, control.n_served = 0.05, 160.0
    control.fall_to_served()
    assert control.has_knee
    assert control.level == 160.0
