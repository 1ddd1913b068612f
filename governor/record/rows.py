"""Records as plain numbers, in their order: what goes through them one by one reads them here.

*Rule of this file*: from columns to numbers and arrivals; what they mean is its callers'.

*Theory*: a record is one row of an array, and Python wants numbers. So each column of a chunk
becomes a list, of which whoever plays a record takes what its kind has: of an arrival that was let
through untouched, as nearly all are, five numbers of ten. A column that holds one number only, as
most of an arrival's do, is that number again and again.

*Cost*: 0.6 us a record for its columns, 0.9 us an arrival, 0.3 compiled; ``tolist`` of the
structured array is 2.1 us a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from governor.core.arrival import Arrival
from governor.record.events import KINDS_WITH_TAIL
from governor.record.ring import Events

CHUNK_RECORDS: Final = 1 << 12
"""Read at a time: what a processor's cache holds, however long a recording is."""

SAYS_MORE: Final = 1 << 8
"""Added to the kind of a record that has more in its head than when, who and where."""

KIND_MASK: Final = SAYS_MORE - 1
"""Of a code."""

Head = tuple[int, int, int, int, int, int, int, int, int, int]
"""t_ns, number, request, delay_ns, kind, upstream, action, reason, status, endpoint."""


class Chunk:
    """Some records, by column.

    Attributes
    ----------
    n : int
        How many.
    t_ns, number, request, delay_ns, upstream, action, reason, status, endpoint : list of int
        Their heads.
    code : list of int
        The kind, and ``SAYS_MORE`` if delay, action, reason or status is not 0.
    """

    def __init__(self, rows: Events) -> None:
        self.n: int = len(rows)
        kind = rows["kind"].astype(np.int64)
        says = (rows["delay_ns"] != 0) | (rows["status"] != 0)
        says |= (rows["action"] | rows["reason"]) != 0
        self.code: list[int] = (kind + SAYS_MORE * says).tolist()
        self.t_ns: list[int] = _numbers(rows["t_ns"])
        self.number: list[int] = _numbers(rows["number"])
        self.request: list[int] = _numbers(rows["request"])
        self.delay_ns: list[int] = _numbers(rows["delay_ns"])
        self.upstream: list[int] = _numbers(rows["upstream"])
        self.action: list[int] = _numbers(rows["action"])
        self.reason: list[int] = _numbers(rows["reason"])
        self.status: list[int] = _numbers(rows["status"])
        self.endpoint: list[int] = _numbers(rows["endpoint"])
        tails = rows[np.isin(rows["kind"], KINDS_WITH_TAIL)]
        self._tail: int = 0
        self._tenant: list[int] = _numbers(tails["tenant"])
        self._flow: list[int] = _numbers(tails["flow"])
        self._tree: list[int] = _numbers(tails["tree"])
        self._fingerprint: list[int] = _numbers(tails["fingerprint"])
        self._attempt: list[int] = _numbers(tails["attempt"])
        self._urgency: list[int] = _numbers(tails["urgency"])
        self._patience_ns: list[int] = _numbers(tails["patience_ns"])
        self._is_identified: list[bool] = _numbers(tails["is_identified"])
        self._is_exempt: list[bool] = _numbers(tails["is_exempt"])
        self._can_retry: list[bool] = _numbers(tails["can_retry"])
        self._family: list[int] = _numbers(tails["family"])
        self._parent_flow: list[int] = _numbers(tails["parent_flow"])
        self._is_deadline: list[bool] = _numbers(tails["is_deadline"])
        self._kind: list[int] = _numbers(tails["call_kind"])
        self._affinity: list[int] = _numbers(tails["affinity"])
        self._switches: list[int] = _numbers(tails["switches"])
        self._max_wait_ns: list[int] = _numbers(tails["max_wait_ns"])
        self._source: list[int] = _numbers(tails["source"])

    def head(self, idx: int) -> Head:
        """Return the head of a record, whole."""
        return (
            self.t_ns[idx],
            self.number[idx],
            self.request[idx],
            self.delay_ns[idx],
            self.code[idx] & KIND_MASK,
            self.upstream[idx],
            self.action[idx],
            self.reason[idx],
            self.status[idx],
            self.endpoint[idx],
        )

    def next_arrival(self) -> Arrival:
        """Return the arrival of the next record that has one (``KINDS_WITH_TAIL``)."""
        idx = self._tail
        self._tail = idx + 1
        return Arrival(
            self._tenant[idx],
            self._flow[idx],
            self._tree[idx],
            self._fingerprint[idx],
            self._attempt[idx],
            self._urgency[idx],
            self._patience_ns[idx],
            self._is_identified[idx],
            self._is_exempt[idx],
            self._can_retry[idx],
            self._family[idx],
            self._parent_flow[idx],
            self._is_deadline[idx],
            self._kind[idx],
            self._affinity[idx],
            self._switches[idx],
            self._max_wait_ns[idx],
            self._source[idx],
        )


def in_chunks(events: Events) -> Iterator[Chunk]:
    """Yield all records, not all at once."""
    for start in range(0, len(events), CHUNK_RECORDS):
        yield Chunk(events[start : start + CHUNK_RECORDS])


def _numbers(column: Events) -> list[Any]:
    """Return a column's numbers, one for each row."""
    if len(column) and (column == column[0]).all():
        return [column[0].item()] * len(column)
    return column.tolist()  # type: ignore[no-any-return]
