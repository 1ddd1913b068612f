"""Who is who: caller-chosen names to small integers, in memory that callers cannot grow.

*Rule of this file*: keys are keyed 64-bit hashes made at the rim; no name, no
credential and no address is ever seen here. Index 0 is shared by everybody for
whom there was no place, and how often that happened is counted.

*Theory*: attained service decays with a half-life, so that what an agent used
a minute ago hardly counts. Forward decay (Cormode, Shkapenyuk, Srivastava, Xu,
"Forward Decay", ICDE 2009, section 3) makes it O(1) without touching idle
entries: a second booked at t is stored with weight 2**((t - landmark) / half-life)
and read divided by the weight of now. Dividing everything by the weight moves
the landmark before the numbers grow too large.

A full table gives away the place of an entry that has no open lease and has
been unseen for a minute, looked for a few places at a time (second chance), so
a lookup is O(1) whatever callers send.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from governor.core.restraint import Restraint

from governor.core.roots import Roots

OVERFLOW: Final = 0
"""The entry shared by everybody for whom there was no place."""

HALF_LIFE_NS: Final = 30_000_000_000
"""Service older than a few half-lives no longer ranks a caller behind others."""

IDLE_NS: Final = 60_000_000_000
"""Unseen for this long, and with nothing open, an entry may be given away; no signal
remembers a flow for longer."""

N_PROBES: Final = 8
"""Entries looked at per new name in a full table."""

WEIGHT_MAX: Final = 1e12
"""The landmark moves before sums lose precision: every 20 minutes."""


class IdentityTable:
    """Keys to indices below ``capacity``; 0 is the shared overflow entry.

    Parameters
    ----------
    prefix : str
        First word of labels: ``tenant``, ``flow``, ``tree``.
    capacity : int
        Entries, the overflow one included; at least 2.

    Attributes
    ----------
    n_open : list of int
        Pending and open leases per entry.
    service : list of float
        Attained upstream seconds per entry, weighted by :class:`Identities`' clock.
    seen_at_ns : list of int
        Last arrival per entry.
    n_calls, n_retries : list of int
        Arrivals per entry, and those of them that repeat an earlier one.
    n_overflowed : int
        Lookups that ended in the shared entry.
    on_handover : Callable, optional
        Told the index of an entry that stands for another key from now on, so that
        whoever keeps something by index can forget it.
    """

    __slots__ = (
        "_hand",
        "_index",
        "_keys",
        "capacity",
        "n_calls",
        "n_open",
        "n_overflowed",
        "n_retries",
        "on_handover",
        "prefix",
        "seen_at_ns",
        "service",
    )

    def __init__(self, prefix: str, capacity: int) -> None:
        if capacity < 2:
            raise ValueError(f"capacity must be at least 2, got {capacity}")
        self.prefix = prefix
        self.capacity = capacity
        self.n_overflowed = 0
        self.on_handover: Callable[[int], None] | None = None
        self.n_calls = [0]
        self.n_retries = [0]
        self.n_open = [0]
        self.service = [0.0]
        self.seen_at_ns = [0]
        self._keys = [0]
        self._index: dict[int, int] = {}
        self._hand = 0

    def __len__(self) -> int:
        return len(self._index)

    def index(self, key: int, now_ns: int) -> int:
        """Return the index of ``key``, a new one if it is unknown, 0 if there is no place."""
        idx = self._index.get(key)
        if idx is None:
            idx = self._place(now_ns)
            if idx == OVERFLOW:
                self.n_overflowed += 1
                return OVERFLOW
            self._keys[idx] = key
            self._index[key] = idx
        self.seen_at_ns[idx] = now_ns
        return idx

    def find(self, key: int) -> int:
        """Return the index of ``key`` if it has one, else 0; gives no place and keeps none."""
        return self._index.get(key, OVERFLOW)

    def label(self, idx: int) -> str:
        """Return a name for people: ``flow-3f9a01c2``, from the keyed hash; never the name sent."""
        if idx == OVERFLOW:
            return f"{self.prefix}-others"
        return f"{self.prefix}-{self._keys[idx] & 0xFFFFFFFF:08x}"

    def find_labelled(self, text: str) -> list[int]:
        """Return the entries whose hash ends in the digits of ``flow-3f9a01c2``, eight or sixteen.

        Eight are what pages show; among tens of thousands two entries may share them.
        """
        digits = text.removeprefix(f"{self.prefix}-")
        if len(digits) not in (8, 16) or not all(x in "0123456789abcdef" for x in digits):
            return []
        mask = (1 << 4 * len(digits)) - 1
        wanted = int(digits, 16)
        return [idx for key, idx in self._index.items() if key & mask == wanted]

    def long_label(self, idx: int) -> str:
        """Return the label with all of the keyed hash: no two entries share it."""
        if idx == OVERFLOW:
            return self.label(idx)
        return f"{self.prefix}-{self._keys[idx] & 0xFFFF_FFFF_FFFF_FFFF:016x}"

    def heaviest(self, n: int) -> list[int]:
        """Return the indices of the ``n`` entries with the most attained service, most first."""
        return nlargest(n, range(len(self.service)), key=self.service.__getitem__)

    def _place(self, now_ns: int) -> int:
        size = len(self._keys)
        if size < self.capacity:
            self._keys.append(0)
            self.n_open.append(0)
            self.n_calls.append(0)
            self.n_retries.append(0)
            self.service.append(0.0)
            self.seen_at_ns.append(0)
            return size
        for _ in range(N_PROBES):
            self._hand = self._hand % (size - 1) + 1
            idx = self._hand
            if self.n_open[idx] == 0 and now_ns - self.seen_at_ns[idx] >= IDLE_NS:
                del self._index[self._keys[idx]]
                self.service[idx] = 0.0
                if self.on_handover is not None:
                    self.on_handover(idx)
                return idx
        return OVERFLOW


class Identities:
    """The tenants, flows and trees of one process, with what each has attained.

    Parameters
    ----------
    n_tenants, n_flows, n_trees : int
        Sizes of the tables; memory is about 150 bytes an entry, taken as callers appear.

    Attributes
    ----------
    restraints : dict of int to Restraint
        Flows that are held or quarantined (:mod:`governor.core.registry`); empty nearly always.
    """

    __slots__ = (
        "_landmark_ns",
        "_n_open",
        "_service",
        "_tables",
        "_weight",
        "flows",
        "restraints",
        "roots",
        "tenants",
        "trees",
    )

    def __init__(
        self, n_tenants: int = 4_096, n_flows: int = 65_536, n_trees: int = 65_536
    ) -> None:
        self.tenants = IdentityTable("tenant", n_tenants)
        self.flows = IdentityTable("flow", n_flows)
        self.restraints: dict[int, Restraint] = {}
        self.trees = IdentityTable("tree", n_trees)
        self._tables = (self.tenants, self.flows, self.trees)
        self._n_open = tuple(table.n_open for table in self._tables)
        self._service = tuple(table.service for table in self._tables)
        self.roots = Roots()
        self._landmark_ns = -1
        self._weight = 1.0

    def opened(self, tenant: int, flow: int, tree: int) -> None:
        """Note a new lease: its entries cannot be given away while it lives."""
        self.tenants.n_open[tenant] += 1
        self.flows.n_open[flow] += 1
        self.trees.n_open[tree] += 1

    def closed(self, tenant: int, flow: int, tree: int, service_s: float) -> None:
        """Note a closed lease and charge its upstream seconds to all three."""
        of_tenant, of_flow, of_tree = self._n_open
        of_tenant[tenant] -= 1
        of_flow[flow] -= 1
        of_tree[tree] -= 1
        if service_s > 0.0:
            weighted_s = service_s * self._weight
            by_tenant, by_flow, by_tree = self._service
            by_tenant[tenant] += weighted_s
            by_flow[flow] += weighted_s
            by_tree[tree] += weighted_s

    def attained_s(self, flow: int, tree: int, expected_s: float) -> float:
        """Return what the more loaded of flow and tree has attained, in upstream seconds.

        Leases that are still open, but for the asking one, count with ``expected_s`` each.
        """
        flows, trees = self.flows, self.trees
        by_flow = flows.service[flow] / self._weight + (flows.n_open[flow] - 1) * expected_s
        by_tree = trees.service[tree] / self._weight + (trees.n_open[tree] - 1) * expected_s
        return max(by_flow, by_tree, 0.0)

    def is_newcomer(self, flow: int) -> bool:
        """Whether a flow has attained nothing yet."""
        return self.flows.service[flow] == 0.0

    def service_s(self, table: IdentityTable, idx: int) -> float:
        """Return the attained upstream seconds of one entry, decayed to now."""
        return table.service[idx] / self._weight

    def advance(self, now_ns: int) -> None:
        """Let attained service decay up to ``now_ns``; an earlier instant changes nothing."""
        if self._landmark_ns < 0:
            self._landmark_ns = now_ns
        age_ns = now_ns - self._landmark_ns
        if age_ns <= 0:
            return
        self._weight = max(self._weight, 2.0 ** min(age_ns / HALF_LIFE_NS, 1000.0))
        if self._weight > WEIGHT_MAX:
            for table in self._tables:
                table.service[:] = [x / self._weight for x in table.service]
            self._weight = 1.0
            self._landmark_ns = now_ns
