"""The life of one request, from records: what was read, what was decided, how long each part took.

*Rule of this file*: records in, plain values out. A request is found by the checksum of
its id; two ids share one once in four thousand million.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np

from governor.record.events import REASONS, Kind
from governor.record.ring import Events
from policies.decision import Action, Outcome

_NS = 1e9
_OF_A_LEASE = (Kind.DECIDE, Kind.ANSWERED, Kind.LEAVE, Kind.DEPART, Kind.REROUTE, Kind.SLOT)

Life = dict[str, Any]


def find_life(
    events: Events, request_id: bytes, salt: int, upstreams: Sequence[str]
) -> Life | None:
    """Return the life of the latest request of this id; None if no record tells of it.

    Parameters
    ----------
    salt : int
        Of the recording.
    upstreams : sequence of str
        Names by number.
    """
    kinds = events["kind"]
    is_its = (kinds == Kind.ARRIVE) & (events["request"] == crc32(request_id, salt))
    found = np.flatnonzero(is_its)
    if not len(found):
        return None
    first = len(found) - 1
    while first and int(events["action"][found[first - 1]]) == Action.DIVERT:
        first -= 1  # its way began at the gate that sent it on
    began = int(found[first])
    steps: list[Life] = []
    t0_ns = int(events["t_ns"][began])
    place = began
    for row in found[first:]:
        place = int(row)
        steps.append(_arrival_step(events, place, t0_ns, upstreams))
        steps += _follow(events, place, int(events["number"][place]), t0_ns)
    return {
        "request_id": request_id.decode("ascii", "backslashreplace"),
        "upstream": upstreams[int(events["upstream"][place])],
        "read": _read(events[began]),
        "steps": steps,
        "parts": _measure(steps),
    }


def _read(event: Any) -> Life:
    """Return what was read of the request: numbers, none of them content."""
    return {
        "tenant": int(event["tenant"]),
        "flow": int(event["flow"]),
        "tree": int(event["tree"]),
        "attempt": int(event["attempt"]) if event["attempt"] >= 0 else None,
        "urgency": int(event["urgency"]),
        "patience_s": int(event["patience_ns"]) / _NS or None,
        "family": int(event["family"]),
        "kind": int(event["call_kind"]),
        "is_identified": bool(event["is_identified"]),
        "is_exempt": bool(event["is_exempt"]),
        "can_retry": bool(event["can_retry"]),
    }


def _arrival_step(events: Events, row: int, t0_ns: int, upstreams: Sequence[str]) -> Life:
    event = events[row]
    return {
        "at_s": (int(event["t_ns"]) - t0_ns) / _NS,
        "what": "arrived",
        "upstream": upstreams[int(event["upstream"])],
        **_decision(event),
    }


def _decision(event: Any) -> Life:
    reason = int(event["reason"])
    decided: Life = {
        "action": Action(int(event["action"])).name.lower(),
        "reason": REASONS[reason] if reason < len(REASONS) else "unknown",
    }
    if event["delay_ns"]:
        decided["retry_after_s"] = int(event["delay_ns"]) / _NS
    if event["status"] > 0:
        decided["status"] = int(event["status"])
    if event["endpoint"] >= 0:
        decided["endpoint"] = int(event["endpoint"])
    return decided


def _follow(events: Events, row: int, number: int, t0_ns: int) -> list[Life]:
    """Return what came after an arrival, on through the leases that went on for it."""
    later = events[row + 1 :]
    is_absorbed = (later["kind"] == Kind.ABSORB) & (later["request"] > 0)
    numbers = {number}
    for event in later[is_absorbed]:
        if int(event["number"]) in numbers:
            numbers.add(int(event["request"]))
    is_its = np.isin(later["number"], list(numbers)) & np.isin(later["kind"], _OF_A_LEASE)
    steps = []
    for event in later[is_its]:
        step: Life = {"at_s": (int(event["t_ns"]) - t0_ns) / _NS}
        kind = int(event["kind"])
        if kind == Kind.DECIDE:
            step |= {"what": "decided", **_decision(event)}
        elif kind == Kind.ANSWERED:
            step |= {"what": "first byte", "status": int(event["status"])}
        elif kind == Kind.LEAVE:
            step |= {"what": "caller left"}
        elif kind == Kind.REROUTE:
            step |= {"what": "endpoint failed it"}
        elif kind == Kind.SLOT:
            step |= {"what": "upstream refused", "status": int(event["status"])}
        else:
            outcome = Outcome(int(event["action"])).name.lower()
            step |= {"what": "ended", "outcome": outcome, "status": int(event["status"])}
            if event["delay_ns"]:
                step["retry_after_s"] = int(event["delay_ns"]) / _NS
        steps.append(step)
        if kind == Kind.DEPART:
            break
    return steps


def _measure(steps: Sequence[Life]) -> Life:
    """Return how long each part took, s; None for what has not been."""
    waited_s = 0.0
    sent_s = waits_s = first_s = ended_s = None
    for step in steps:
        at_s, action = step["at_s"], step.get("action")
        if action == "wait":
            waits_s = at_s
        elif action in ("admit", "answer", "divert"):
            if waits_s is not None:
                waited_s += at_s - waits_s
                waits_s = None
            if action == "admit" and step["reason"] not in ("slot_given", "no_retry"):
                sent_s = at_s
            elif action == "answer":
                ended_s = at_s
        elif step["what"] == "first byte":
            first_s = at_s
        elif step["what"] == "ended":
            ended_s = at_s
    first_s = ended_s if first_s is None else first_s
    is_sent = sent_s is not None
    return {
        "in_line_s": waited_s,
        "until_first_byte_s": first_s - sent_s if is_sent and first_s is not None else None,
        "streaming_s": ended_s - first_s if is_sent and ended_s is not None else None,
        "total_s": ended_s,
    }
