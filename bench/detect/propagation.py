"""Whose trouble it is: recorded faults of two microservice systems, named by own time.

*Rule of this file*: what is asked, measured and shown; recordings are
:mod:`bench.detect.faults`'. Full run: under 30 s on one core.

*Chosen on*: constants of the study (floors, few, 25 minutes) were taken over.
The gates of the windows, the prior and the streak were chosen while looking at
both recordings; there is no third with faults on record, so the figures here
are not independent of them. What moves when they move is in the table of
variants.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from bench.detect.base import Options, Section, claim
from bench.detect.faults import (
    BY_NESTING,
    CALLER_KNOWN,
    DELAYS_S,
    HOLE_S,
    INCLUSIVE,
    NOBODY,
    Recording,
    Timeline,
    Verdict,
    count_outside,
    judge_fault,
    play,
    read_recording,
)
from bench.report import table
from signals.owntime import N_HISTORY

SHOP, BOOKING = "nezha_onlineboutique_0822", "nezha_trainticket_0129"
LABELS = {SHOP: "web shop, 2022-08-22", BOOKING: "booking system, 2023-01-29"}

TWO_MINUTES = 12
"""Sub-windows of 10 s."""

RAW_S = 1e9
"""Holes as long as they were."""

VARIANTS = (
    (CALLER_KNOWN, N_HISTORY, HOLE_S),
    (BY_NESTING, N_HISTORY, HOLE_S),
    (INCLUSIVE, N_HISTORY, HOLE_S),
    (CALLER_KNOWN, TWO_MINUTES, HOLE_S),
    (CALLER_KNOWN, N_HISTORY, RAW_S),
)


def count(verdicts: list[Verdict], services: list[int]) -> tuple[int, int]:
    """Return how many of the services named are right, and wrong."""
    pairs = [(v.fault.service, who) for v, who in zip(verdicts, services, strict=True)]
    right = sum(who == service for service, who in pairs)
    return right, sum(who != NOBODY for _, who in pairs) - right


def count_shown(verdicts: list[Verdict], place: int) -> tuple[int, int]:
    """Return right and wrong among those shown after ``DELAYS_S[place]``."""
    return count(verdicts, [v.at[place] for v in verdicts])


def select(recording: Recording, verdicts: list[Verdict]) -> list[Verdict]:
    """Return the usable faults; the booking system's are all taken, as in the study."""
    usable = [v for v in verdicts if v.fault.is_usable]
    return usable if recording.name == SHOP else verdicts


def describe_variant(
    recording: Recording, variant: tuple[str, int, float]
) -> tuple[list[str], Timeline, list[Verdict]]:
    """Play one variant; return its row of the table, what was read, and the verdicts."""
    who, n_history, hole_s = variant
    line = play(recording, who, n_history, hole_s)
    verdicts = [judge_fault(line, fault) for fault in recording.faults]
    chosen = select(recording, verdicts)
    n_names, hours = count_outside(recording, line)
    first = count(chosen, [v.first for v in chosen])
    final = count(chosen, [v.final for v in chosen])
    shown = [count_shown(chosen, place) for place in range(len(DELAYS_S))]
    has_parent = recording.parent != NOBODY
    exact = float(np.mean(line.parents[has_parent] == recording.parent[has_parent]))
    row = [
        LABELS[recording.name],
        who,
        f"{n_history / 6:.0f} min",
        "as recorded" if hole_s == RAW_S else f"≤ {hole_s:.0f} s",
        f"{first[0]} / {first[1]}",
        f"{final[0]} / {final[1]}",
        ", ".join(f"{right}/{wrong}" for right, wrong in shown),
        f"{n_names} in {hours:.2f} h",
        f"{exact:.4f}" if who == BY_NESTING else "–",
    ]
    return row, line, verdicts


def rows_of_faults(recording: Recording, verdicts: list[Verdict]) -> list[list[str]]:
    """Return a row for each fault after which, or before which, somebody was named or shown."""

    def name(service: int) -> str:
        return recording.services[service] if service != NOBODY else "–"

    return [
        [
            f"{v.fault.at_s:,.0f}",
            v.fault.name,
            v.fault.kind,
            "yes" if v.fault.is_usable else "",
            name(v.before),
            f"{name(v.first)} ({v.first_s} s)" if v.first != NOBODY else "–",
            " ".join(
                "–" if who == NOBODY else "right" if who == v.fault.service else "**wrong**"
                for who in v.at
            ),
        ]
        for v in verdicts
        if v.fault.is_usable or v.first != NOBODY or max(v.at) != NOBODY
    ]


def draw(recording: Recording, verdicts: list[Verdict]) -> Any:
    """Return a picture: right and wrong names against the time since injection."""
    figure = go.Figure()
    for label, which in (("right", 0), ("wrong", 1)):
        counts = [count_shown(verdicts, place)[which] for place in range(len(DELAYS_S))]
        figure.add_bar(x=[f"{delay} s" for delay in DELAYS_S], y=counts, name=label)
    figure.update_layout(
        barmode="stack",
        title=f"{LABELS[recording.name]}: who is shown after a fault ({len(verdicts)} faults)",
        xaxis_title="time since injection",
        yaxis_title="faults",
    )
    return figure


def run_recording(folder: Path, name: str, options: Options) -> dict[str, Any] | None:
    """Return all that is measured on one recording."""
    recording = read_recording(folder, name)
    if recording is None:
        return None
    variants = VARIANTS[:1] if options.quick else VARIANTS
    found = [describe_variant(recording, variant) for variant in variants]
    _, _, verdicts = found[0]
    chosen = select(recording, verdicts)
    return {
        "variants": [row for row, _, _ in found],
        "faults": rows_of_faults(recording, verdicts),
        "n": len(chosen),
        "first": count(chosen, [v.first for v in chosen]),
        "shown": count_shown(chosen, len(DELAYS_S) - 1),
        "figure": draw(recording, chosen),
    }


def run(options: Options) -> Section:
    """Measure both recordings."""
    if options.traces is None:
        return Section("Propagation", "*Trace not present.*", {"claims": []})
    found = {name: run_recording(options.traces, name, options) for name in (SHOP, BOOKING)}
    if any(part is None for part in found.values()):
        return Section("Propagation", "*Trace not present.*", {"claims": []})
    parts: dict[str, dict[str, Any]] = {k: part for k, part in found.items() if part is not None}
    claims, rows, text = [], [], []
    for name, part in parts.items():
        (right, wrong), (first, first_wrong) = part["shown"], part["first"]
        asked = "≥ 10 of 12 named first, none wrong" if name == SHOP else "none wrong"
        is_met = wrong == 0 and first_wrong == 0 and (name != SHOP or first >= 10)
        measured = (
            f"{first} of {part['n']} named to act upon within 60 s, {first_wrong} wrong; "
            f"shown after 60 s: {right} right, {wrong} wrong"
        )
        claims.append(claim(f"root cause, {LABELS[name]}", asked, measured, is_met))
        rows += part["variants"]
        header = ["t, s", "service", "fault", "usable", "named before", "first named"]
        header.append("shown after " + ", ".join(str(delay) for delay in DELAYS_S) + " s")
        text += [f"### Faults of the {LABELS[name]}", table(header, part["faults"])]
    header = ["recording", "caller", "past", "holes", "first named: right / wrong"]
    header += ["named at 60 s: right / wrong", "shown after 5, 7, 12, 22, 60 s: right/wrong"]
    header += ["names outside fault windows", "parents found by nesting"]
    intro = (
        "A service is *shown* as soon as any window says so and *named*, to act upon, when it "
        "has led the windows of 20 and 60 s for 10 s. Usable: recorded from 30 s before to 20 s "
        "after. Gates, prior and streak were chosen while looking at both recordings."
    )
    data = {"claims": claims, "variants": rows}
    figures = [(f"propagation-{name}", part["figure"]) for name, part in parts.items()]
    return Section("Propagation", "\n\n".join([intro, table(header, rows), *text]), data, figures)
