"""The tables of ``bench/results/simulate.md``.

*Rule of this file*: values in, Markdown out; what falls short stands in the same table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.report import table
from bench.simulate import check, cost
from bench.simulate.check import Pair
from bench.simulate.curves import CUT_S, Point
from bench.storm.report import number

REDIS_CASES = ((3, 1), (3, 10), (1_000, 1), (1_000, 10))


def percent(value: float) -> str:
    """Return a deviation.

    >>> percent(0.0312), percent(float("inf"))
    ('+3.1%', '∞')
    """
    return "∞" if math.isinf(value) else f"{value:+.1%}"


def check_table(pairs: Sequence[Pair], first: str, second: str) -> str:
    """Return a row per cell: both values and the deviation of each quantity."""
    head = ["scenario", "in front"]
    for name in check.QUANTITIES:
        head += [f"{name}: {first}", second, "deviation"]
    if any(pair.others for pair in pairs):
        head.append("goodput, waste, attempts: range over seeds")
    rows = []
    for pair in pairs:
        row = [pair.scenario, pair.peer]
        for name in check.QUANTITIES:
            is_share = name == "waste"
            row.append(number(pair.measured[name], is_share=is_share))
            row.append(number(pair.simulated[name], is_share=is_share))
            row.append(percent(pair.deviation(name)) + ("" if pair.agrees(name) else " ✗"))
        if pair.others:
            spans = [pair.spread(name) for name in check.QUANTITIES]
            row.append(
                "; ".join(
                    f"{number(low, is_share=name == 'waste')} – "
                    f"{number(high, is_share=name == 'waste')}"
                    for name, (low, high) in zip(check.QUANTITIES, spans, strict=True)
                )
            )
        rows.append(row)
    return table(head, rows)


def agreement(pairs: Sequence[Pair]) -> str:
    """Return in words how many values agree."""
    n_agree, n_all = check.count_agreeing(pairs)
    n_strict, _ = check.count_agreeing(pairs, is_strict=True)
    return (
        f"{n_agree} of {n_all} values agree: within {check.RATIO:.0%} of what was measured, waste "
        f"also within {check.WASTE_POINTS * 100:g} points of all upstream seconds; without that "
        f"allowance {n_strict} of {n_all}. ✗: does not agree."
    )


def speed(pairs: Sequence[Pair]) -> str:
    """Return in words how fast the exact tier was."""
    said = []
    for peer, what in (("direct", "with nothing in front"), ("governor", "with the real gate")):
        mine = [pair for pair in pairs if pair.peer == peer and pair.cpu_s > 0.0]
        if mine:
            rates = sorted(pair.n_events / pair.cpu_s for pair in mine)
            all_hz = sum(pair.n_events for pair in mine) / sum(pair.cpu_s for pair in mine)
            said.append(f"{what} {all_hz:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})")
    return f"Events/s of one core, over all cells: {', '.join(said)}." if said else ""


def check_section(sockets: Sequence[Pair], left_out: Sequence[str], tiers: Sequence[Pair]) -> str:
    """Return both comparisons."""
    parts = ["### Simulated against measured"]
    if sockets:
        parts += [
            "The same scenario definitions, the same seed, the same measuring function; "
            f"{agreement(sockets)} Not simulated: {', '.join(left_out) or 'none'}.",
            speed(sockets),
            check_table(sockets, "sockets", "simulated"),
        ]
    if tiers:
        parts += [
            "### The scale tier against the exact one",
            "Means of 3 seeds with the real gate and of 30 with the reduced laws. "
            + agreement(tiers),
            check_table(tiers, "exact", "scale"),
        ]
    return "\n\n".join(parts)


def point_table(points: Sequence[Point], what: str) -> str:
    """Return a row per point."""
    head = ["", what, "agents", "load", "waste ratio", "goodput of capacity"]
    head += ["attempts a task", "tasks that succeed", "inside / slots", "events", "events/s"]
    rows = []
    for p in points:
        speed = f"{p.events / p.cpu_s / 1e6:.2f} M" if p.cpu_s else "–"
        rows.append(
            [
                p.curve,
                f"{p.at:,g}",
                f"{p.n_agents:,}",
                f"{p.load:.0%}",
                number(p.waste_ratio, is_share=True),
                number(p.goodput_ratio, is_share=True),
                number(p.attempts),
                number(p.success_ratio, is_share=True),
                number(p.inside_ratio) if p.cpu_s else "–",
                f"{p.events:,.0f}" if p.events else "–",
                speed,
            ]
        )
    return table(head, rows)


def density_section(points: Sequence[Point], millions: Sequence[Point], picture: str) -> str:
    """Return the density curve."""
    parts = [
        "### Density, to a million agents",
        f"![Waste and goodput against density]({picture})",
        point_table(points, "agents a service"),
    ]
    if millions:
        parts += [
            "A million agents otherwise: 100 and 2,500 a service; roaming, where each task goes to "
            "a service drawn anew; and behind governors that share their view.",
            point_table(millions, "services"),
        ]
    return "\n\n".join(parts)


def unshared_table(points: Sequence[Point]) -> str:
    """Return a row per number of governors that share nothing."""
    head = ["agents a service", "governors", "waste ratio", "goodput of capacity"]
    head += ["attempts a task", "tasks that succeed", "limits in all / slots"]
    rows = [
        [
            f"{p.n_agents:,}",
            f"{p.at:g}",
            number(p.waste_ratio, is_share=True),
            number(p.goodput_ratio, is_share=True),
            number(p.attempts),
            number(p.success_ratio, is_share=True),
            number(p.limit_ratio),
        ]
        for p in points
    ]
    return table(head, rows)


def staleness_section(points: Sequence[Point], picture: str, unshared: Sequence[Point] = ()) -> str:
    """Return the staleness curve, losses and partition."""
    return "\n\n".join(
        [
            "### Staleness of the shared view",
            "Governors before one service, each knowing its own row and, late, the sum of the "
            "others'; 152 % load. *need*: each holds a share of the limit by its calls in hand. "
            "*share*: by its rate of fresh calls, decayed with 10 s. *sum*: the limit less what "
            "the others were last seen to hold. Exchange every 50 ms, or as soon as the last one "
            "has been answered; where messages are lost the delay is 10 ms. Demand moves: the "
            "agents of half of the governors go over to the other half. Cut off: "
            f"half of the governors cannot reach the hub from {CUT_S[0]:.0f} to {CUT_S[1]:.0f} s.",
            f"![Waste and calls inside against staleness]({picture})",
            point_table(points, "delay s, or share"),
            "Real gates that share nothing, side by side before one service of 40 slots; each "
            "learns its limit by itself (the exact tier, one seed).",
            unshared_table(unshared),
        ]
    )


def share_section(points: Sequence[Point], picture: str) -> str:
    """Return the governed share's curve."""
    head = ["", "governed share", "waste ratio", "goodput of capacity", "attempts a task"]
    head += ["tasks of governed agents that succeed", "of the others"]
    rows = []
    for p in points:
        has_both = p.cpu_s > 0
        rows.append(
            [
                p.curve,
                f"{p.at:.0%}",
                number(p.waste_ratio, is_share=True),
                number(p.goodput_ratio, is_share=True),
                number(p.attempts),
                number(p.governed_success, is_share=True) if has_both and p.at > 0 else "–",
                number(p.ungoverned_success, is_share=True) if has_both and p.at < 1 else "–",
            ]
        )
    return "\n\n".join(
        [
            "### Share of the agents that is governed",
            "The others call the service past Governor. *exact*: with the real gate, one service, "
            "mean of seeds.",
            f"![Waste and goodput against the governed share]({picture})",
            table(head, rows),
        ]
    )


def cost_section() -> str:
    """Return the cost of sharing, on paper, beside what has been measured."""
    parts = ["### What sharing costs, on paper"]
    gate = cost.measured_gate()
    if gate is not None:
        rows = [
            [
                f"{calls_hz:,}/s over {n:,}",
                f"{gate.core_ratio(calls_hz, n):.1%}",
                f"{gate.core_ratio(calls_hz, n, 1.0):.1%}",
            ]
            for calls_hz, n in (
                (400, 1),
                (2_000, 10),
                (2_000, 100),
                (2_000, 1_000),
                (2_000, 10_000),
            )
        ]
        parts += [
            "A governor's own time, from `bench gate`'s medians (the gate only; bytes come on "
            f"top): {gate.call_s * 1e6:.1f} µs a call in calm, {gate.waiting_call_s * 1e6:.1f} µs "
            f"while all wait; {gate.tick_s * 1e6:.0f} and {gate.waiting_tick_s * 1e6:.0f} µs a "
            "tick of 50 ms and upstream.",
            table(["calls over upstreams", "of one core, in calm", "while all wait"], rows),
        ]
        parts += small_cases(gate)
    parts += [*redis_cases(), redis_comparison()]
    return "\n\n".join(parts)


def redis_cases() -> list[str]:
    """Return what Redis is asked for, by how many governors and upstreams there are."""
    rows = []
    for n_governors, n_upstreams in REDIS_CASES:
        for is_batched in (False, True):
            p = cost.on_paper(n_governors, n_upstreams, is_batched=is_batched)
            per_call_us = 1e6 / p.calls_hz
            rows.append(
                [
                    f"{n_governors:,}",
                    f"{n_upstreams:,}",
                    "a call a tick" if is_batched else "a call a tick and upstream",
                    f"{p.calls_hz:,.0f}",
                    f"{p.in_bytes_hz / 1e6:.2f}",
                    f"{p.out_bytes_hz / 1e6:.2f}",
                    f"{per_call_us:,.0f}",
                ]
            )
    return [
        f"For Redis: {cost.call_bytes(1)} bytes a call with one row, {cost.reply_bytes(1)} back. "
        "It runs one script at a time: the last column is how long one may take before its core "
        "is full.",
        table(
            [
                "governors",
                "upstreams each",
                "",
                "calls/s",
                "MB/s in",
                "MB/s out",
                "full at µs a call",
            ],
            rows,
        ),
    ]


def small_cases(gate: cost.GateCost) -> list[str]:
    """Return the paper beside what the governor's process took on sockets."""
    rows = []
    for case in cost.measured_small():
        paper = gate.core_ratio(case.calls_hz, 1, 1.0 if case.is_waiting else 0.0)
        rows.append(
            [
                f"{case.n_agents:,}",
                number(case.calls_hz),
                f"{paper:.2%}",
                f"{case.core_ratio:.2%}",
                number(max(0.0, case.core_ratio - paper) / case.calls_hz * 1e6),
            ]
        )
    head = ["agents", "calls/s", "gate on paper, of a core", "process as measured"]
    return [
        "Against the small cases of `bench density` (one governor, one upstream): the rest is "
        "bytes, connections and the process's own idle work, and at low rates it is nearly all.",
        table([*head, "rest, µs a call"], rows),
    ]


def redis_comparison() -> str:
    """Return measured cases beside the paper, if there are any."""
    cases = cost.measured_redis()
    if not cases:
        return "No case has been measured on a Redis yet: nothing above is confirmed."
    rows = []
    for case in cases:
        p = cost.on_paper(int(case["governors"]), int(case["upstreams"]))
        rows.append(
            [
                f"{p.n_governors:,} × {p.n_upstreams:,}",
                f"{p.calls_hz:,.0f}",
                f"{case['calls_hz']:,.0f}",
                percent(case["calls_hz"] / p.calls_hz - 1.0),
                f"{p.in_bytes_hz:,.0f}",
                f"{case['in_bytes_hz']:,.0f}",
                percent(case["in_bytes_hz"] / p.in_bytes_hz - 1.0),
            ]
        )
    head = ["case", "calls/s: paper", "measured", "deviation"]
    return table([*head, "bytes/s in: paper", "measured", "deviation"], rows)
