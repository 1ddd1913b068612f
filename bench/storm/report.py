"""The tables: one per scenario, one of all, and Governor's verdict for every must."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean

from bench.report import table
from bench.storm.base import Must, Scenario
from bench.storm.verdict import (
    GOVERNOR,
    Cells,
    Judgement,
    judge_all,
    peers_of,
    quantity,
    score,
    seeds_of,
)

COMMON = (
    ("success_ratio", "tasks that succeed", True),
    ("goodput_hz", "goodput/s", False),
    ("waste_ratio", "waste ratio", True),
    ("attempts_per_task", "attempts a task", False),
    ("p99_s", "p99 s", False),
    ("refusals", "refusals", False),
    ("timeouts", "time-outs", False),
)
"""Quantities of every table: key, heading, whether a share."""
TOO_LATE_S = 0.05
"""A generator later than this at its 99th percentile is said to have been late."""


def number(value: float, *, is_share: bool = False) -> str:
    """Return a number as tables show it.

    >>> number(0.9912, is_share=True), number(1234.5), number(0.5), number(float("inf"))
    ('99.12%', '1,234', '0.500', '∞')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if is_share:
        return f"{value:.2%}"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def over_seeds(cells: Cells, peer: str, key: str) -> float:
    """Return the mean over a peer's seeds; infinite if any is, nan if none has it."""
    values = [quantity(cells, peer, seed, key) for seed in seeds_of(cells, peer)]
    known = [value for value in values if not math.isnan(value)]
    return mean(known) if known else math.nan


def verdict_line(judgements: Sequence[Judgement]) -> list[str]:
    """Return one line per must: met or not, the worst seed's value against its limit."""
    words = {True: "yes", False: "NO", None: "not comparable"}
    return [
        f"- {j.must.text}: **{words[j.is_met]}** ({value_of(j.must, j.value)}, "
        f"{'at most' if j.must.sense == '<=' else 'at least'} {value_of(j.must, j.limit)})"
        for j in judgements
    ]


def value_of(must: Must, value: float) -> str:
    """Return a must's value or limit as text."""
    return number(value, is_share=must.is_share)


def scenario_table(scenario: Scenario, cells: Cells) -> str:
    """Return a row per peer: every must's quantity, then what every run is asked."""
    in_musts = {must.key for must in scenario.musts}
    common = [(k, title, share) for k, title, share in COMMON if k not in in_musts]
    head = ["in front", "musts met"]
    head += [f"{must.text} (worst seed)" for must in scenario.musts]
    head += [title for _, title in scenario.columns] + [title for _, title, _ in common]
    rows = []
    for peer in peers_of(cells):
        judgements = judge_all(scenario, cells, peer)
        row = [peer, score(judgements)]
        row += [cell_of(j) for j in judgements]
        row += [number(over_seeds(cells, peer, key)) for key, _ in scenario.columns]
        row += [number(over_seeds(cells, peer, k), is_share=share) for k, _, share in common]
        rows.append(row)
    return table(head, rows)


def cell_of(judgement: Judgement) -> str:
    """Return a must's value, marked if it is not met, with its limit where that is relative."""
    text = value_of(judgement.must, judgement.value)
    if judgement.must.against and not math.isnan(judgement.limit):
        text += f" of {value_of(judgement.must, judgement.limit)}"
    return f"{text} ✗" if judgement.is_met is False else text


def scenario_text(scenario: Scenario, cells: Cells) -> str:
    """Return a scenario's section: definition, table, verdict, remarks."""
    parts = [f"### {scenario.name}", scenario.text, scenario_table(scenario, cells)]
    if GOVERNOR in peers_of(cells):
        lines = verdict_line(judge_all(scenario, cells, GOVERNOR))
        parts.append("\n".join(["Governor, worst seed:", *lines]))
    remarks = [*bound_remarks(scenario, cells), *late_remarks(cells)]
    if remarks:
        parts.append("\n".join(remarks))
    return "\n\n".join(parts)


def bound_remarks(scenario: Scenario, cells: Cells) -> list[str]:
    """Return what is to be said of musts that the best order for the callers does not meet."""
    remarks = []
    for must in scenario.musts:
        if GOVERNOR not in peers_of(cells):
            break
        judgement = next(j for j in judge_all(scenario, cells, GOVERNOR) if j.must is must)
        bound = over_seeds(cells, GOVERNOR, f"bound_{must.key}")
        if not math.isnan(bound) and must.sense == "<=" and bound > judgement.limit:
            remarks.append(
                f"Order alone does not reach it: a proxy without cost that knew the slots, kept "
                f"none free and always served the callers first would come to {number(bound)}, "
                f"where at most {number(judgement.limit)} is asked ({must.text})."
            )
    return remarks


def late_remarks(cells: Cells) -> list[str]:
    """Return what is to be said of runs whose load generator was late."""
    late = [
        f"{peer} seed {seed} ({quantity(cells, peer, seed, 'late_p99_s') * 1e3:.0f} ms)"
        for peer, seed in cells
        if quantity(cells, peer, seed, "late_p99_s") > TOO_LATE_S
    ]
    return [f"The load generator was late (p99) in: {', '.join(late)}."] if late else []


def summary(scenarios: Sequence[Scenario], cells: Mapping[str, Cells]) -> str:
    """Return the table of scenarios by peers: musts met."""
    shown = [scenario for scenario in scenarios if cells.get(scenario.name)]
    peers = list(dict.fromkeys(peer for s in shown for peer in peers_of(cells[s.name])))
    rows = []
    for scenario in shown:
        found = cells[scenario.name]
        row = [scenario.name]
        for peer in peers:
            is_there = peer in peers_of(found)
            row.append(score(judge_all(scenario, found, peer)) if is_there else "–")
        rows.append(row)
    return table(["musts met, every seed", *peers], rows)


def whole(scenarios: Sequence[Scenario], cells: Mapping[str, Cells], head: str) -> str:
    """Return the whole report."""
    parts = [head, summary(scenarios, cells)]
    for scenario in scenarios:
        found = cells.get(scenario.name)
        if found:
            parts.append(scenario_text(scenario, found))
            if any(cell["timeline"] for cell in found.values()):
                parts.append(f"![{scenario.name} over time](storm-{scenario.name}.png)")
    return "\n\n".join(parts)
