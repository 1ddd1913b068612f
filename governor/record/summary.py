"""What a recording shows, in numbers: for a person, a table and a picture.

*Rule of this file*: records in, plain values out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from governor.record.calls import Demand, demand_of
from governor.record.events import REASONS, Kind
from governor.record.readers.base import Problems
from governor.record.store import Recording
from governor.record.trace import Ints, Trace
from policies.decision import Action, Outcome

N_BINS_MAX = 600
"""Of the picture: more are finer than a screen."""
BIN_LEAST_S = 0.5
"""Of the picture: among a hundred calls a second, chance moves half a second's by a seventh."""

MAX_SECONDS = 1e8
"""Three years: longer spans come of a wrong instant, and are not counted by the second."""

Floats = npt.NDArray[np.float64]


class Series(NamedTuple):
    """Rates over time, per second, by upstream."""

    at_s: list[float]
    lines: dict[str, list[float]]


class Summary(NamedTuple):
    """All that is shown of one recording, or of a trace."""

    rows: list[tuple[str, str]]
    decisions: list[tuple[str, str, int]]
    """Action, reason, count; most first. None of a trace."""
    series: dict[str, Series]


def summarise(recording: Recording) -> Summary:
    """Return what is shown."""
    events = recording.events
    demand = demand_of(recording)
    series = {
        name: _series(events[events["upstream"] == idx], recording)
        for idx, name in enumerate(recording.upstreams)
    }
    return Summary(_rows(recording, demand), _count(events), series)


def _rows(recording: Recording, demand: Demand) -> list[tuple[str, str]]:
    events, fate = recording.events, demand.fate
    if not len(events) or fate is None:
        return [("records", "0")]
    span_s = float(events["t_ns"][-1] - events["t_ns"][0]) / 1e9
    is_call = events["kind"] == Kind.ARRIVE
    n_calls = int(is_call.sum())
    n_marked = int((events["attempt"][is_call] > 0).sum())
    first = recording.header.get("first")
    lost = f"{recording.n_lost:,} records, {recording.n_bytes_skipped:,} bytes of broken blocks"
    return [
        ("records", f"{len(events):,}"),
        ("span", f"{span_s:.1f} s"),
        ("begins with the process", "yes" if first == 0 else f"no, at record {first:,}"),
        ("lost", lost),
        ("configuration", str(recording.header["config_id"])),
        (
            "calls",
            f"{n_calls:,} ({n_calls / max(span_s, 1e-9):.1f}/s), {n_marked:,} marked retries",
        ),
        ("tasks", f"{fate.n_tasks:,} ({n_calls / max(1, fate.n_tasks):.2f} calls a task)"),
        (
            "callers",
            " ".join(
                f"{len(np.unique(events[name][is_call])):,} {name}s"
                for name in ("tenant", "flow", "tree")
            ),
        ),
        ("held", f"{fate.n_held:,}, {fate.waited_s:.1f} s in all"),
        ("answered by Governor", f"{fate.n_answered:,}"),
        ("failed or refused by the service", f"{fate.n_failed:,}"),
        ("callers that left", f"{fate.n_left:,}"),
        ("service time useful / wasted", f"{fate.useful_s:.1f} s / {fate.wasted_s:.1f} s"),
        ("wasted share", f"{fate.wasted_share:.1%}"),
        ("most in flight", " ".join(map(str, demand.n_slots))),
    ]


def _count(events: Any) -> list[tuple[str, str, int]]:
    is_decision = np.isin(events["kind"], (Kind.ARRIVE, Kind.DECIDE))
    codes = events["action"][is_decision].astype(np.int64) * 256 + events["reason"][is_decision]
    values, counts = np.unique(codes, return_counts=True)
    found = [
        (
            Action(int(code) // 256).name.lower(),
            REASONS[code % 256] if code % 256 < len(REASONS) else "unknown",
            int(count),
        )
        for code, count in zip(values.tolist(), counts.tolist(), strict=True)
    ]
    return sorted(found, key=lambda row: -row[2])


def _series(events: Any, recording: Recording) -> Series:
    whole = recording.events["t_ns"]
    if not len(whole):
        return Series([], {})
    begin_ns, end_ns = int(whole[0]), int(whole[-1])
    edges, width_s = _bins((end_ns - begin_ns) / 1e9)
    at_s = (events["t_ns"] - begin_ns) / 1e9
    kind, action = events["kind"], events["action"]
    is_arrival = kind == Kind.ARRIVE
    is_end = kind == Kind.DEPART
    is_decided = is_arrival | (kind == Kind.DECIDE)
    chosen = {
        "calls/s": is_arrival,
        "marked retries/s": is_arrival & (events["attempt"] > 0),
        "completed/s": is_end & (action == Outcome.COMPLETED),
        "held/s": is_decided & (action == Action.WAIT),
        "answered by Governor/s": is_decided & (action == Action.ANSWER),
        "failed or refused/s": is_end & np.isin(action, (Outcome.REFUSED, Outcome.FAILED)),
        "wasted: nobody waits/s": is_end & np.isin(action, (Outcome.ORPHANED, Outcome.CANCELLED)),
    }
    lines = {
        name: (np.histogram(at_s[mask], edges)[0] / width_s).tolist()
        for name, mask in chosen.items()
    }
    return Series(edges[:-1].tolist(), lines)


def _bins(span_s: float) -> tuple[Floats, float]:
    """Return the edges of the picture's bins, and their width."""
    width_s = max(BIN_LEAST_S, span_s / N_BINS_MAX)
    edges = np.arange(0.0, span_s + width_s, width_s)
    return (edges if len(edges) > 1 else np.array([0.0, width_s])), width_s


def summarise_trace(trace: Trace, problems: Problems) -> Summary:
    """Return what is shown of a trace: who called when, and how many were open at once."""
    rows = [("calls", f"{len(trace):,}")]
    if problems.n_bad:
        rows.append(("lines that could not be read", f"{problems.n_bad:,}"))
    if trace.n_left_out:
        rows.append(("calls left out", f"{trace.n_left_out:,}: no more than that are read"))
    if not len(trace):
        return Summary(rows, [], {})
    at_s = (trace.at_ns - trace.at_ns[0]) / 1e9
    held_s = trace.held_ns / 1e9
    per_s = np.bincount(at_s.astype(np.int64)) if at_s[-1] < MAX_SECONDS else np.zeros(1)
    mean_hz = len(trace) / max(at_s[-1], 1e-9)
    gaps_s = np.diff(at_s) if len(trace) > 2 else np.zeros(1)
    open_at_ns, n_open = trace.count_open()
    rows += [
        ("span", f"{at_s[-1]:,.1f} s"),
        ("calls a second", f"{mean_hz:.2f}, {per_s.max():.0f} in the busiest second"),
        ("variance over mean of counts a second", f"{per_s.var() / max(per_s.mean(), 1e-9):.2f}"),
        ("variation of the gaps", f"{gaps_s.std() / max(gaps_s.mean(), 1e-9):.2f}"),
        ("callers", f"{trace.n_named:,} named; {trace.n_unnamed:,} calls of nobody named"),
        ("tenants, trees, kinds", f"{trace.n_tenants:,}, {trace.n_trees:,}, {trace.n_kinds:,}"),
        ("held, median / 99 %", " / ".join(f"{x:.2f} s" for x in np.percentile(held_s, (50, 99)))),
        ("open at once, mean / most", f"{held_s.sum() / max(at_s[-1], 1e-9):.1f} / {n_open.max()}"),
        ("failed or refused", f"{int(trace.is_failed.sum()):,}"),
    ]
    edges, width_s = _bins(float(at_s[-1]))
    when = {"calls/s": at_s, "failed or refused/s": at_s[trace.is_failed]}
    rates = {
        name: (np.histogram(x, edges)[0] / width_s).tolist() for name, x in when.items() if len(x)
    }
    edges_ns = trace.at_ns[0] + (edges * 1e9).astype(np.int64)
    levels = {"open": _most_in_bins(open_at_ns, n_open, edges_ns)}
    shown = edges[:-1].tolist()
    series = {"calls": Series(shown, rates), "open at once, at most": Series(shown, levels)}
    return Summary(rows, [], series)


def _most_in_bins(at_ns: Ints, level: Ints, edges_ns: Ints) -> list[float]:
    """Return the highest level in each bin, that at its beginning included."""
    places = np.searchsorted(at_ns, edges_ns)
    before = np.where(places > 0, level[np.maximum(places, 1) - 1], 0)[:-1]
    padded = np.append(level, 0)
    within = np.maximum.reduceat(padded, places)[:-1]
    is_still = places[1:] == places[:-1]
    most = np.where(is_still, before, np.maximum(before, within))
    return [float(x) for x in most]
