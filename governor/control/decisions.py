"""The page of recent interventions: what was done to whom, why, on what readings.

*Rule of this file*: from the ring's entries to plain values, and the check of
the one parameter.
"""

from __future__ import annotations

from typing import Any

from governor.control.view import RuntimeView
from governor.core.decision_log import CAPACITY, Intervention
from governor.core.identity import Identities
from policies.decision import Reason

LAST_DEFAULT = 100
LAST_MAX = CAPACITY


REASON_WORDS: dict[str, str] = {
    Reason.UNTOUCHED: "There was room and nobody waited.",
    Reason.EXEMPT: "Its route or its kind is never held.",
    Reason.OVER_LIMIT: "As many were in flight as the endpoint serves at its pace.",
    Reason.HELD: "It came in a crowd, and the last places are kept 200 ms for others.",
    Reason.CONTAINED: "Its kind holds places for long, or hangs, and some are kept for others.",
    Reason.ACCELERATING: "Demand grows faster than the upstream is configured to take.",
    Reason.OVER_QUOTA: "The upstream accepts only so many calls a second, as its refusals showed.",
    Reason.HELD_BACK: "Left ungoverned, to measure what governing does for the others.",
    Reason.CAPACITY_FREED: "It waited, and a place came free.",
    Reason.LINE_TOO_LONG: "The line could not be served within its patience.",
    Reason.PATIENCE_SPENT: "It waited so long that an answer would have come too late.",
    Reason.DOOMED: "The caller of the call that it was made for has left, and did not return.",
    Reason.LINE_FULL: "As many waited as may wait.",
    Reason.REROUTED: "An endpoint failed it before its answer began; it went to another one.",
    Reason.FALLBACK: "Its upstream was out of use or too busy; the fallback upstream was asked.",
    Reason.ABSORBED: "The upstream refused it; that is waited out and it is sent again.",
    Reason.COALESCED: "It shares the answer of an identical request that was under way.",
    Reason.SLOT_GIVEN: "The upstream refused it in a storm; it was given its own time to return.",
    Reason.NO_RETRY: "The upstream refused it in a storm, and no retry could still be served.",
    Reason.CAPPED: "Its agent is held to as many calls in flight as its envelope allows.",
    Reason.QUARANTINED: "Its agent is quarantined until a person releases it.",
    Reason.OBSERVED: "Admitted, though governing would have acted.",
}
"""Every reason as a sentence."""


class BadParameter(ValueError):
    """A query parameter outside what is allowed; the caller is told which and what is."""

    def __init__(self, field: str, allowed: str) -> None:
        super().__init__(f"{field} must be {allowed}")
        self.field = field
        self.allowed = allowed


def parse_last(text: str | None) -> int:
    """Return how many interventions are asked for.

    Raises
    ------
    BadParameter
        If it is no whole number from 1 to ``LAST_MAX``.
    """
    if text is None:
        return LAST_DEFAULT
    is_number = text.isascii() and text.isdigit() and len(text) <= 6
    if not is_number or not 1 <= int(text) <= LAST_MAX:
        raise BadParameter("last", f"a whole number from 1 to {LAST_MAX}")
    return int(text)


def describe_decisions(
    runtime: RuntimeView, last: int, now_ns: int, unix_now_ns: int
) -> dict[str, Any]:
    """Return the page: newest first.

    Parameters
    ----------
    now_ns, unix_now_ns : int
        The same instant on the monotonic and on the wall clock.
    """
    log = runtime.decision_log
    offset_ns = unix_now_ns - now_ns
    return {
        "total": log.n_appended,
        "kept": len(log),
        "decisions": [
            describe_entry(entry, offset_ns, runtime.identities) for entry in log.last(last)
        ],
    }


def _slot_s(entry: Intervention) -> float | None:
    """When the caller was told to come back; 0 if it was told not to, None if nothing."""
    is_told = entry.action == "answer" or entry.reason in (Reason.SLOT_GIVEN, Reason.NO_RETRY)
    return entry.retry_after_ns / 1e9 if is_told else None


def describe_entry(entry: Intervention, offset_ns: int, identities: Identities) -> dict[str, Any]:
    """Return one intervention, identities as salted labels."""
    return {
        "sequence": entry.sequence,
        "time_s": round((entry.at_ns + offset_ns) / 1e9, 6),
        "request_id": entry.request_id,
        "upstream": entry.upstream,
        "endpoint": entry.endpoint_idx if entry.endpoint_idx >= 0 else None,
        "action": entry.action,
        "reason": entry.reason,
        "observed": entry.observed or None,
        "in_words": REASON_WORDS.get(entry.reason, ""),
        "status": entry.status or None,
        "retry_after_s": _slot_s(entry),
        "waited_s": entry.waited_ns / 1e9,
        "caller": {
            "tenant": identities.tenants.label(entry.tenant),
            "flow": identities.flows.label(entry.flow),
            "tree": identities.trees.label(entry.tree),
            "attempt": entry.attempt,
            "urgency": entry.urgency,
        },
        "readings": {
            "in_flight": entry.in_flight,
            "limit": entry.limit,
            "line_length": entry.line_length,
            "capacity_hz": entry.capacity_hz,
            "storm_is_foretold": entry.is_storm,
            "storm_crossing_s": entry.crossing_s if entry.is_storm else None,
            "expected_hz": entry.expected_hz,
            "organic_hz": entry.organic_hz,
            "retry_ratio": entry.retry_ratio,
            "synchrony_nats": entry.synchrony_nats,
        },
    }
