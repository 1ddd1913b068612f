"""The calls of a trace in memory: numbers by column, tasks only while they are played.

*Rule of this file*: rows in, tasks out, in order of time. What a row is, is the readers'.

*Theory*: a trace of millions of lines does not fit as objects (700 bytes a call) but does as
columns (40 bytes). Names become places of the identity tables at once and are kept only as long
as tables have places; the rest shares the first, as it does in a running Governor. Calls that
nobody is named for take the places of ``N_UNNAMED`` in turn: whose place is taken anew has
been gone for as many calls.

*Regime*: at most ``MAX_CALLS`` are read; what is beyond is told, and memory stays below 0.5 GB.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload
from zlib import crc32

import numpy as np
import numpy.typing as npt

from governor.core.arrival import Arrival
from governor.record.calls import Attempt, Demand, Task
from governor.record.readers.base import Row

MAX_CALLS = 10_000_000

N_TENANTS, N_FLOWS = 4_096, 65_536
"""Places of the identity tables; who finds none shares the first."""

N_UNNAMED = 16_384
"""The last of the flows' places."""

BEGIN_NS = 1_000_000_000
"""Where the trace begins on the made-up clock."""

LONGEST_S = 1e9
"""A longer span is a fault of its line, and would not fit as nanoseconds."""

CHUNK = 1 << 14

Ints = npt.NDArray[np.int64]


class Places:
    """Places of one table by name, the first come the first served."""

    def __init__(self, n_places: int) -> None:
        self._n_places = n_places
        self._by_name: dict[str, int] = {}

    def find(self, name: str) -> int:
        """Return the place of a name; 0 where none is left."""
        place = self._by_name.get(name)
        if place is None:
            if len(self._by_name) + 1 >= self._n_places:
                return 0
            place = self._by_name[name] = len(self._by_name) + 1
        return place

    def __len__(self) -> int:
        return len(self._by_name)


class Trace(Sequence[Task]):
    """The tasks of a trace, each one call; made anew whenever they are asked for.

    Attributes
    ----------
    at_ns, held_ns : int64 array
        In order of time.
    is_failed : bool array
    n_named : int
        Callers that are told apart.
    n_left_out : int
        Calls beyond ``MAX_CALLS``.
    """

    def __init__(self, rows: Iterable[Row], max_calls: int = MAX_CALLS) -> None:
        at, held = array("d"), array("d")
        tenant, flow, tree, kind, status = (array(code) for code in "iiiBh")
        tenants, flows, trees = Places(N_TENANTS), Places(N_FLOWS - N_UNNAMED), Places(N_FLOWS)
        self.n_left_out = n_unnamed = 0
        for row in rows:
            if len(at) >= max_calls:
                self.n_left_out += 1
                continue
            at.append(row.at_s)
            held.append(row.held_s)
            tenant.append(tenants.find(row.tenant))
            kind.append(crc32(row.kind.encode()) & 0xFF)
            status.append(min(row.status, 999))
            if row.flow:
                place = flows.find(row.flow)
            else:
                place = N_FLOWS - 1 - n_unnamed % N_UNNAMED
                n_unnamed += 1
            flow.append(place)
            tree.append(trees.find(row.tree) if row.tree else -1)
        at_s = _column(at, np.float64)
        order = np.argsort(at_s, kind="stable")
        t0_s = at_s[order[0]] if len(at_s) else 0.0
        self.at_ns: Ints = BEGIN_NS + _as_ns(at_s[order] - t0_s)
        self.held_ns: Ints = np.maximum(1, _as_ns(_column(held, np.float64)[order]))
        code = _column(status, np.int16)[order]
        self.is_failed = (code == 408) | (code == 429) | (code >= 500)
        self._tenant = _column(tenant, np.int32)[order]
        self._flow = _column(flow, np.int32)[order]
        whose = _column(tree, np.int32)[order]
        self._tree = np.where(whose < 0, _trees_of_flows(self._flow, len(trees)), whose)
        self._kind = _column(kind, np.uint8)[order]
        self.n_named, self.n_unnamed, self.n_trees = len(flows), n_unnamed, len(trees)
        self.n_tenants, self.n_kinds = len(tenants), len(np.unique(self._kind))

    def __len__(self) -> int:
        return len(self.at_ns)

    @overload
    def __getitem__(self, at: int) -> Task: ...
    @overload
    def __getitem__(self, at: slice) -> list[Task]: ...
    def __getitem__(self, at: int | slice) -> Any:
        chosen = range(len(self))[at]
        if isinstance(chosen, int):
            return next(self._tasks(chosen, chosen + 1))
        return [next(self._tasks(place, place + 1)) for place in chosen]

    def __iter__(self) -> Iterator[Task]:
        for start in range(0, len(self), CHUNK):
            yield from self._tasks(start, min(start + CHUNK, len(self)))

    def _tasks(self, start: int, stop: int) -> Iterator[Task]:
        part = slice(start, stop)
        columns = (self.at_ns, self.held_ns, self.is_failed, self._tenant, self._flow)
        values = (column[part].tolist() for column in (*columns, self._tree, self._kind))
        for place, row in enumerate(zip(*values, strict=True), start=start + 1):
            at_ns, held_ns, is_failed, tenant, flow, tree, kind = row
            is_named = flow < N_FLOWS - N_UNNAMED
            shape = Arrival(tenant, flow, tree, place, is_identified=is_named, kind=kind)
            yield Task(at_ns, 0, shape, [Attempt(held_ns, is_failed)])

    @property
    def places(self) -> tuple[int, int, int]:
        """The highest of tenants, flows and trees."""
        columns = (self._tenant, self._flow, self._tree)
        tenant, flow, tree = (int(column.max(initial=0)) for column in columns)
        return tenant, flow, tree

    def count_open(self) -> tuple[Ints, Ints]:
        """Return when calls begin or end, and how many are open from then on."""
        at_ns = np.concatenate([self.at_ns, self.at_ns + self.held_ns])
        change = np.repeat(np.array([1, -1], np.int64), len(self))
        order = np.lexsort((change, at_ns))  # who ends makes room for who begins then
        return at_ns[order], np.cumsum(change[order])

    def demand(self) -> Demand:
        """Return it as what is played: as many slots as were open at once."""
        _, n_open = self.count_open()
        return Demand(self, [max(1, int(n_open.max(initial=1)))], None, is_single=True)


def _column(values: array[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.frombuffer(values, dtype) if values else np.empty(0, dtype)


def _as_ns(span_s: npt.NDArray[np.float64]) -> Ints:
    return (np.minimum(span_s, LONGEST_S) * 1e9).astype(np.int64)


def _trees_of_flows(flow: npt.NDArray[Any], n_trees: int) -> npt.NDArray[Any]:
    """Return a tree of its own for each flow, behind those that have a name; 0 if none is left."""
    tree = n_trees + flow
    return np.where((flow > 0) & (tree < N_FLOWS), tree, 0)
