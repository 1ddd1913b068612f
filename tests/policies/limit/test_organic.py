"""Do no harm: recorded traffic, started cold at any speed, never meets the limit.

The service has ample capacity: each request takes what was recorded (Claude
Code sessions), or what its recorded token counts take at 20 ms a token behind
a first byte after 0.3 s (where no latency was recorded).
"""

from __future__ import annotations

import csv
import gzip
from heapq import heappop, heappush
from pathlib import Path

import pytest

from policies.limit import AdaptiveLimit

TRACES = Path(__file__).resolve().parents[4] / "shared" / "traces"
S = 1_000_000_000
TICK_NS = S // 20
SPEEDS = (1, 10, 60, 100)

Request = tuple[float, float, float]
"""Arrival, time to first byte and to the end, seconds."""


def read(name: str, kind: str, start_s: float, stop_s: float) -> list[Request]:
    """Return the requests of one stretch of a trace, its first second at 0."""
    path = TRACES / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    requests: list[Request] = []
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            at_s = float(row["t_s"])
            if at_s >= stop_s:
                break
            if at_s < start_s:
                continue
            if kind == "recorded":
                first_s = total_s = float(row["latency_s"] or 1.0)
            else:
                first_s = 0.3 + 5e-5 * float(row["in_size"])
                total_s = first_s + 0.02 * float(row["out_size"])
                if kind == "whole":
                    first_s = total_s
            requests.append((at_s - start_s, first_s, total_s))
    return requests


def replay(requests: list[Request], speed: int) -> tuple[int, int]:
    """Return how many arrivals found the limit full, and the most in flight."""
    limit = AdaptiveLimit(1)
    ends: list[tuple[int, int, bool, bool, int, int, int]] = []
    n = n_full = peak = 0
    tick_ns = 0
    for order, (at_s, first_s, total_s) in enumerate(requests):
        now_ns = int(at_s / speed * S)
        while ends and ends[0][0] <= now_ns:
            end_ns, _, is_first, is_last, phase, sent_ns, n_sent = heappop(ends)
            tick_ns = tick_to(limit, tick_ns, end_ns, n)
            if is_first:
                limit.on_answer(end_ns, phase, sent_ns, n_sent, n)
            if is_last:
                n -= 1
                limit.on_depart(end_ns, end_ns - sent_ns, True)
        tick_ns = tick_to(limit, tick_ns, now_ns, n)
        n_full += n >= limit.limit
        n += 1
        peak = max(peak, n)
        phase = limit.on_dispatch(now_ns, n, n >= limit.limit)
        first_ns, total_ns = int(first_s / speed * S), int(total_s / speed * S)
        is_whole = first_ns >= total_ns
        heappush(ends, (now_ns + first_ns, order, True, is_whole, phase, now_ns, n))
        if not is_whole:
            heappush(ends, (now_ns + total_ns, order, False, True, phase, now_ns, n))
    return n_full, peak


def tick_to(limit: AdaptiveLimit, tick_ns: int, now_ns: int, n: int) -> int:
    """Tick up to ``now_ns``; return when the next tick is due."""
    tick_ns = max(tick_ns, now_ns - 200 * TICK_NS)
    while tick_ns <= now_ns:
        limit.tick(tick_ns, n)
        tick_ns += TICK_NS
    return tick_ns


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize(
    ("name", "kind", "start_s", "stop_s"),
    [
        ("claude_code_fleet_6h", "recorded", 0, 21_600),
        ("claude_code_fleet_6h", "recorded", 7_200, 9_000),
        ("claude_code_fleet_6h", "recorded", 8_400, 9_600),
        ("claude_code_fleet_6h", "recorded", 12_000, 13_800),
        ("azure_llm_conv_2023", "whole", 0, 900),
        ("azure_llm_conv_2023", "whole", 900, 1_500),
        ("azure_llm_conv_2023", "streamed", 0, 900),
        ("servegen_deepseek-r1_6h_synth", "streamed", 0, 600),
        ("servegen_deepseek-r1_6h_synth", "streamed", 14_000, 14_400),
    ],
)
def test_organic_traffic_never_meets_the_limit(
    name: str, kind: str, start_s: float, stop_s: float, speed: int
) -> None:
    """Not one arrival finds the limit full, from the first second of a cold start."""
    n_full, peak = replay(read(name, kind, start_s, stop_s), speed)
    assert peak > 20
    assert n_full == 0
