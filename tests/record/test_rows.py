"""Records one by one: the numbers of the array, in its order, across chunks."""

from __future__ import annotations

import numpy as np

from governor.core.arrival import Arrival
from governor.record.events import EVENT_DTYPE, KINDS_WITH_TAIL, Kind, make_events
from governor.record.rows import CHUNK_RECORDS, KIND_MASK, SAID_MASK, in_chunks
from tests.support.fields import fields_of


def test_all_records_come_in_order_with_the_arrivals_of_those_that_have_one() -> None:
    """As the plain way of numpy gives them, whatever kinds are mixed, over the end of a chunk."""
    n = CHUNK_RECORDS + 1_000
    rng = np.random.default_rng(1)
    events = make_events(n)
    for name in EVENT_DTYPE.names or ():
        kind = EVENT_DTYPE[name]
        low, high = (0, 2) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        events[name] = rng.integers(low, high, n, kind if kind.kind != "b" else np.int64)
    for name in ("delay_ns", "action", "reason", "status"):
        events[name][rng.random(n) < 0.7] = 0
    events["kind"] = rng.integers(1, len(Kind) + 1, n)
    events["patience_ns"], events["can_retry"] = 7, True  # as most columns are: one number
    heads, arrivals, are_plain = [], [], []
    for chunk in in_chunks(events):
        heads += [chunk.head(idx) for idx in range(chunk.n)]
        are_plain += [what & SAID_MASK == what & KIND_MASK for what in chunk.what]
        with_tail = [x for x in chunk.what if x & KIND_MASK in KINDS_WITH_TAIL]
        arrivals += [chunk.next_arrival() for _ in with_tail]
    assert heads == [row[:10] for row in events.tolist()]
    assert are_plain == [not any(x[place] for place in (6, 7, 8)) for x in heads]
    assert any(are_plain)
    assert not all(are_plain)
    tails = events[np.isin(events["kind"], KINDS_WITH_TAIL)]
    assert len(arrivals) == len(tails)
    for name in fields_of(Arrival):
        column = tails["call_kind" if name == "kind" else name].tolist()
        assert [getattr(arrival, name) for arrival in arrivals] == column


def test_no_records_are_no_chunks() -> None:
    """An empty file is played without a word."""
    assert list(in_chunks(make_events(0))) == []
