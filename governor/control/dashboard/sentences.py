"""Recent decisions in plain words, alike ones together.

*Rule of this file*: entries of the ring in, at most :data:`LINES_MAX` sentences
out, whatever happened. A storm decides hundreds of times a second; nobody reads
that, so what was done to many for one reason is one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from governor.control.decisions import REASON_WORDS
from governor.core.decision_log import Intervention
from policies.decision import Reason

LINES_MAX = 6
"""New sentences a beat: what a person can follow at two beats a second."""

Label = Callable[[int], str]


class Said(NamedTuple):
    """One sentence."""

    at_s: float
    """Of the latest decision in it, wall clock."""
    kind: str
    """``went``, ``away``, ``moved`` or ``observed``: for colour and filter."""
    upstream: str
    n: int
    text: str


class _Group:
    __slots__ = ("entry", "n", "slot_max_ns", "slot_min_ns", "waited_max_ns", "waited_min_ns")

    def __init__(self, entry: Intervention) -> None:
        self.entry = entry
        self.n = 0
        self.waited_min_ns = self.waited_max_ns = entry.waited_ns
        self.slot_min_ns = self.slot_max_ns = entry.retry_after_ns

    def add(self, entry: Intervention) -> None:
        self.n += 1
        self.waited_min_ns = min(self.waited_min_ns, entry.waited_ns)
        self.waited_max_ns = max(self.waited_max_ns, entry.waited_ns)
        self.slot_min_ns = min(self.slot_min_ns, entry.retry_after_ns)
        self.slot_max_ns = max(self.slot_max_ns, entry.retry_after_ns)


def put_decisions_in_words(
    entries: Iterable[Intervention], offset_ns: int, flow_label: Label
) -> list[Said]:
    """Return what was decided most often, the latest first.

    Parameters
    ----------
    entries : iterable of Intervention
        Newest first.
    offset_ns : int
        Wall clock less monotonic clock.
    """
    groups: dict[tuple[str, str, str], _Group] = {}
    for entry in entries:
        key = (entry.upstream, entry.action, entry.reason)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(entry)
        group.add(entry)
    often = sorted(groups.values(), key=lambda x: -x.n)
    said = [_say(group, offset_ns, flow_label) for group in often[:LINES_MAX]]
    return sorted(said, key=lambda x: -x.at_s)


def say_span(least_ns: int, most_ns: int) -> str:
    """Return a span of time for people.

    Examples
    --------
    >>> say_span(100_000_000, 2_340_000_000), say_span(4_000_000, 4_000_000)
    ('0.10 to 2.3 s', 'less than 0.01 s')
    """
    least, most = _say_s(least_ns), _say_s(most_ns)
    if most == "0.00":
        return "less than 0.01 s"
    if least == "0.00":
        return f"up to {most} s"
    return f"{most} s" if least == most else f"{least} to {most} s"


def _say_s(span_ns: int) -> str:
    span_s = span_ns / 1e9
    return f"{span_s:.2f}" if span_s < 1 else f"{span_s:.1f}" if span_s < 10 else f"{span_s:.0f}"


def _say(group: _Group, offset_ns: int, flow_label: Label) -> Said:
    entry, n = group.entry, group.n
    who = flow_label(entry.flow) if n == 1 else f"{n} calls"
    waited = say_span(group.waited_min_ns, group.waited_max_ns)
    slot = say_span(group.slot_min_ns, group.slot_max_ns)
    where, reason = entry.upstream, entry.reason
    why = REASON_WORDS.get(reason, "")
    if reason == Reason.OBSERVED:
        kind, text = "observed", f"{who} went to {where} at once; governing would have acted."
    elif reason == Reason.CAPACITY_FREED:
        kind, text = "went", f"{who} waited {waited} for a place at {where}, then went."
    elif reason == Reason.NO_RETRY:
        kind, text = "away", f"{who} of {where} told not to come back: {why}"
    elif reason == Reason.SLOT_GIVEN:
        kind, text = "away", f"{who} refused by {where}, told to come back in {slot}."
    elif entry.action == "answer":
        kind = "away"
        invited = f", to come back in {slot}" if group.slot_max_ns else ""
        text = f"{who} sent away from {where}{invited}. {why}"
    elif reason in (Reason.REROUTED, Reason.FALLBACK):
        kind, text = "moved", f"{who} of {where} moved. {why}"
    else:
        kind, text = "went", f"{who} at {where}: {why}"
    return Said(round((entry.at_ns + offset_ns) / 1e9, 2), kind, where, n, text)
