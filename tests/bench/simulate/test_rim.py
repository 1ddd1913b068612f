"""A gate is told what the client's own bytes say."""

from __future__ import annotations

from bench.simulate.rim import Templates
from governor.load.plan import Closed, Group
from signals.families import STAINLESS


def test_openais_patience_and_count_are_read_from_its_bytes() -> None:
    """Time-out, retry count and family as the SDK sends them; no agent is named."""
    group = Group("agents", 1, Closed(1.0), key="k", timeout_s=2.0)
    templates = Templates(group)
    first, second = templates.arrival(0), templates.arrival(1)
    assert (first.attempt, second.attempt) == (0, 1)
    assert first.patience_ns == 2_000_000_000
    assert first.family == STAINLESS
    assert not first.is_identified
    assert first.can_retry


def test_arrivals_are_new_each_time() -> None:
    """A name put on one is on no other."""
    templates = Templates(Group("agents", 1, Closed(1.0)))
    templates.arrival(0).flow = 7
    assert templates.arrival(0).flow != 7
