"""A waiting line: who goes next, and who cannot be served.

*Theory*: three orders, nested so that a claimed name gains nothing over a
neighbour's credential.

1. Between tenants: whoever holds fewest places goes first, so the places, and
   with them the seconds, are shared max-min fairly however long each tenant's
   calls last, which nobody knows before they end. Among those that hold equally
   many: start-time fair queueing on upstream seconds (Goyal, Vin, Cheng,
   "Start-time Fair Queuing", SIGCOMM 1996, section 2), which decides where
   places are fewer than tenants. A tenant that comes back from idling starts at
   the virtual time of now, not in the past.
2. Within a tenant: urgency (RFC 9218), then least attained service of the flow
   and of its tree, in classes of a factor two. Requests already waiting or in
   flight count as attained, so the hundredth call of a fan-out ranks behind an
   interactive caller's first without any header. A caller that comes at the slot
   it was given ranks before all classes of its urgency: what was promised is kept.
3. Among equals: oldest first while the line is short; newest first once it is
   long, for then the oldest are the ones about to leave.

Leases that close while waiting are skipped when met, and swept out when they
outnumber the living, so leaving is O(1) and memory stays bounded.

*Considered and rejected*: start-time fair queueing alone, each call charged with
what a typical one takes (the longer a tenant's calls, the more of the places it
ends up with); one FIFO (serves the dead; goodput fell to 1 % in a
stall); exact attained service (noise of one call reorders equals).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from governor.core.lease import Lease, LeaseState

CLASSES_PER_URGENCY: Final = 64
"""Room for attained-service classes below one urgency; 2**63 units never occur."""

INVITED: Final = -2
"""``line_key`` of a lease, before it is pushed, whose caller came at its slot."""

CLASS_UNIT_HZ: Final = 20.0
"""One class unit is 50 ms of upstream time; classes double from there."""

SWEEP_MIN: Final = 64
"""Dead entries tolerated before a sweep is worth its cost."""

N_EQUALS: Final = 32
"""Equals looked at for one whose tree has lost a call already."""

N_TENANTS: Final = 4096
"""Tenants told apart, as in the identity tables."""

N_STALE: Final = 64
"""Outdated entries tolerated in the tenants' order, beside four for each tenant."""

N_FINISH_MAX: Final = 4096
"""Idle tenants remembered as served ahead of their share; beyond it all start level."""


def attained_class(attained_s: float) -> int:
    """Return the coarse class of ``attained_s`` seconds: 0 below 50 ms, then one per doubling."""
    return int(attained_s * CLASS_UNIT_HZ).bit_length()


class TenantLine:
    """One tenant's waiting requests, bucketed by urgency and attained class."""

    __slots__ = ("buckets", "n_live", "n_stored", "order", "rank", "start_s", "tenant")

    def __init__(self, tenant: int, start_s: float) -> None:
        self.tenant = tenant
        self.start_s = start_s
        self.rank = (0, start_s)
        self.n_live = 0
        self.n_stored = 0
        self.buckets: dict[int, deque[Lease]] = {}
        self.order: list[int] = []

    def push(self, lease: Lease) -> None:
        """Add a lease whose ``line_key`` is set."""
        bucket = self.buckets.get(lease.line_key)
        if bucket is None:
            bucket = self.buckets[lease.line_key] = deque()
            heappush(self.order, lease.line_key)
        bucket.append(lease)
        self.n_live += 1
        self.n_stored += 1

    def first(self, is_newest_first: bool) -> Lease | None:
        """Return the pending lease that goes next, dropping closed ones on the way."""
        while self.order:
            bucket = self.buckets[self.order[0]]
            while bucket:
                lease = bucket[-1] if is_newest_first else bucket[0]
                if lease.state is LeaseState.PENDING:
                    return lease
                if is_newest_first:
                    bucket.pop()
                else:
                    bucket.popleft()
                self.n_stored -= 1
            del self.buckets[heappop(self.order)]
        return None

    def last(self, is_newest_first: bool, shed: Collection[int]) -> Lease | None:
        """Return the pending lease that would be served last, of those that may be sent away.

        Within one class all are equals: a call of a tree in ``shed`` goes before the others.
        """
        for key in sorted(self.order, reverse=True):
            bucket = self.buckets[key]
            ranked = bucket if is_newest_first else reversed(bucket)
            last, n_looked = None, 0
            for lease in ranked:
                if lease.state is not LeaseState.PENDING or not lease.arrival.can_retry:
                    continue
                if not shed or lease.arrival.tree in shed:
                    return lease
                last = last or lease
                n_looked += 1
                if n_looked >= N_EQUALS:
                    break
            if last is not None:
                return last
        return None

    def sweep(self) -> None:
        """Drop closed leases that nobody has met yet."""
        for key in list(self.buckets):
            living = deque(x for x in self.buckets[key] if x.state is LeaseState.PENDING)
            if living:
                self.buckets[key] = living
            else:
                del self.buckets[key]
        self.order = list(self.buckets)
        heapify(self.order)
        self.n_stored = self.n_live


class Line:
    """Waiting requests of one upstream, in one band.

    ``len(line)`` counts the living. The owner closes or opens a lease that it
    takes; :meth:`forget` tells the line that a lease has stopped waiting.

    Parameters
    ----------
    first_key : int
        Where the line's keys begin, so that a key tells its line.
    held : list of int, optional
        Places that each tenant holds; the owner keeps it true.
    """

    __slots__ = ("_by_tenant", "_finish_s", "_first_key", "_held", "_order", "_virtual_s", "n_live")

    def __init__(self, first_key: int = 0, held: list[int] | None = None) -> None:
        self.n_live = 0
        self._held = [0] * N_TENANTS if held is None else held
        self._first_key = first_key
        self._by_tenant: dict[int, TenantLine] = {}
        self._order: list[tuple[int, float, int]] = []
        self._finish_s: dict[int, float] = {}
        self._virtual_s = 0.0

    def __len__(self) -> int:
        return self.n_live

    def push(self, lease: Lease, attained_s: float) -> None:
        """Let ``lease`` wait, ranked by urgency and ``attained_s`` (the module's theory)."""
        arrival = lease.arrival
        rank = arrival.urgency * CLASSES_PER_URGENCY
        if lease.line_key != INVITED:
            rank += min(1 + attained_class(attained_s), CLASSES_PER_URGENCY - 1)
        lease.line_key = self._first_key + rank
        tenant_line = self._by_tenant.get(arrival.tenant)
        if tenant_line is None:
            start_s = max(self._virtual_s, self._finish_s.pop(arrival.tenant, 0.0))
            tenant_line = TenantLine(arrival.tenant, start_s)
            self._by_tenant[arrival.tenant] = tenant_line
            self._rank(tenant_line)
        tenant_line.push(lease)
        self.n_live += 1

    def first(self, is_newest_first: bool) -> Lease | None:
        """Return who goes next without taking it, or None when nobody waits."""
        while self._order:
            n_held, start_s, tenant = self._order[0]
            tenant_line = self._by_tenant.get(tenant)
            if tenant_line is None or tenant_line.rank != (n_held, start_s):
                heappop(self._order)
                continue
            if n_held != self._held[tenant]:  # it was given places on arrival meanwhile
                heappop(self._order)
                self._rank(tenant_line)
                continue
            lease = tenant_line.first(is_newest_first)
            if lease is not None:
                return lease
            heappop(self._order)
            self._drop(tenant_line)
        return None

    def charge(self, tenant: int, service_s: float) -> None:
        """Advance a tenant's start time by the service that one of its requests is about to get."""
        tenant_line = self._by_tenant.get(tenant)
        if tenant_line is None:
            return
        self._virtual_s = max(self._virtual_s, tenant_line.start_s)
        tenant_line.start_s += max(service_s, 1e-6)
        self._rank(tenant_line)

    def released(self, tenant: int) -> None:
        """Take note that a tenant holds one place less."""
        tenant_line = self._by_tenant.get(tenant)
        if tenant_line is not None:
            self._rank(tenant_line)

    def _rank(self, tenant_line: TenantLine) -> None:
        """Put a tenant where it stands now; where it stood before is skipped when met."""
        tenant = tenant_line.tenant
        tenant_line.rank = rank = (self._held[tenant], tenant_line.start_s)
        heappush(self._order, (*rank, tenant))
        if len(self._order) > N_STALE + 4 * len(self._by_tenant):
            self._order = [(*x.rank, x.tenant) for x in self._by_tenant.values()]
            heapify(self._order)

    def last(self, is_newest_first: bool, shed: Collection[int] = ()) -> Lease | None:
        """Return the lease to send away first: the worst ranked of the tenant that waits most.

        Callers that do not understand a dated refusal are passed over.
        """
        if not self._by_tenant:
            return None
        heaviest = max(self._by_tenant.values(), key=lambda line: line.n_live)
        lease = heaviest.last(is_newest_first, shed)
        if lease is not None:
            return lease
        others = (line.last(is_newest_first, shed) for line in self._by_tenant.values())
        return next((lease for lease in others if lease is not None), None)

    def forget(self, lease: Lease) -> None:
        """Take note that ``lease``, which was pending, has been opened or closed."""
        self.n_live -= 1
        tenant_line = self._by_tenant.get(lease.arrival.tenant)
        if tenant_line is None:
            return
        tenant_line.n_live -= 1
        if tenant_line.n_live == 0:
            self._drop(tenant_line)
        elif tenant_line.n_stored > SWEEP_MIN + 2 * tenant_line.n_live:
            tenant_line.sweep()

    def _drop(self, tenant_line: TenantLine) -> None:
        """Forget a tenant that has nobody waiting, but not the service it had ahead of others."""
        del self._by_tenant[tenant_line.tenant]
        if tenant_line.start_s > self._virtual_s:
            self._finish_s[tenant_line.tenant] = tenant_line.start_s
        if len(self._finish_s) > N_FINISH_MAX:
            ahead = self._finish_s.items()
            self._finish_s = {t: s for t, s in ahead if s > self._virtual_s}
            if len(self._finish_s) > N_FINISH_MAX:
                self._finish_s.clear()

    def __iter__(self) -> Iterator[Lease]:
        for tenant_line in self._by_tenant.values():
            for bucket in tenant_line.buckets.values():
                yield from (x for x in bucket if x.state is LeaseState.PENDING)
