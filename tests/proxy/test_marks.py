"""Response headers that tell what Governor did: only where it acted, unless all are asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from governor.core.arrival import Arrival
from governor.core.lease import Decision, Untouched, make_lease
from governor.proxy import marks
from policies.decision import Action, Reason

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"


def make_exchange(reason: Reason | None, level: int, **fields: Any) -> Any:
    """Return what stands for an exchange with a decision of this reason."""
    lease = make_lease(Arrival(), 0, 0)
    decision = None if reason is None else Decision(Action.ADMIT, reason, lease)
    if reason is Reason.UNTOUCHED:
        decision = Untouched()
    plain = {"is_carrier": False, "request_id": b"abc", "waited_ns": 12_900_000, "detour": ""}
    server = SimpleNamespace(marks=level)
    return SimpleNamespace(decision=decision, server=server, **(plain | fields))


def test_a_request_that_waited_is_told_so() -> None:
    """Id, decision, whole milliseconds, reason, at the end of the head."""
    marked = marks.mark(make_exchange(Reason.CAPACITY_FREED, marks.TOUCHED), HEAD)
    assert marked == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nx-governor-request-id: abc\r\n"
        b"x-governor-decision: admit\r\nx-governor-delay-ms: 12\r\n"
        b"x-governor-reason: capacity_freed\r\n\r\nx"
    )


@pytest.mark.parametrize(
    ("reason", "level"),
    [
        (Reason.UNTOUCHED, marks.TOUCHED),
        (Reason.EXEMPT, marks.TOUCHED),
        (Reason.HELD_BACK, marks.TOUCHED),
        (Reason.OBSERVED, marks.TOUCHED),
        (Reason.CAPACITY_FREED, marks.OFF),
        (None, marks.ALL),
    ],
)
def test_what_governor_did_not_touch_passes_byte_for_byte(reason: Any, level: int) -> None:
    """The very same bytes, not equal ones."""
    assert marks.mark(make_exchange(reason, level), HEAD) is HEAD


def test_all_marks_the_untouched_too_and_a_detour_is_the_reason() -> None:
    """A request that went elsewhere says that, though its last gate did not touch it."""
    found = marks.fields(make_exchange(Reason.UNTOUCHED, marks.ALL, detour="fallback"))
    assert b"x-governor-reason: fallback\r\n" in found
    assert marks.fields(make_exchange(Reason.HELD, marks.ALL, is_carrier=True)) == b""
