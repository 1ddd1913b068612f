"""What each kind of record asks of its gate, and what is told to the worker that wrote it.

*Rule of this file*: one method a kind, for :mod:`governor.workers.records`. A record of a lease
that is not known is told twice, or around the start of a keeper, and changes nothing; what raises
is the :class:`~governor.workers.host.Host`'s to survive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from governor.core.endpoint import is_normal
from governor.core.lease import LeaseState, make_lease
from governor.workers.board import Board
from governor.workers.records import REASONS, Kind, unpack_arrival
from governor.workers.seat import Caller, Seat, deliver
from policies.decision import Outcome
from policies.ejection import Verdict

if TYPE_CHECKING:
    from governor.core.arrival import Arrival
    from governor.core.gate import Gate
    from governor.core.identity import Identities
    from governor.core.registry import Registry

_OPEN, _PENDING = LeaseState.OPEN, LeaseState.PENDING
_OUTCOMES = tuple(Outcome)

Fields = tuple[int, ...]
"""One record, unpacked."""


class Acts:
    """All gates, as records speak to them.

    Parameters
    ----------
    board : Board
        Where it stands which upstreams refuse in a storm.
    gates : sequence of Gate
        In the order of the configuration.
    identities : Identities
    registry : Registry, optional
        Told the configured agent of each flow.

    Attributes
    ----------
    brief : dict of Kind to callable
        Acts on ``(seat, fields)``.
    with_arrival : dict of int to callable
        Acts on ``(seat, fields, request_id)``: records that bring a whole arrival.
    """

    def __init__(
        self,
        board: Board,
        gates: Sequence[Gate],
        identities: Identities,
        registry: Registry | None,
    ) -> None:
        self._board = board
        self._gates = gates
        self._identities = identities
        self._rule_of = None if registry is None else registry.rule_of
        self.brief: dict[Kind, Callable[[Seat, Fields], None]] = {
            Kind.ANSWERED: self._answered,
            Kind.LEAVE: self._leave,
            Kind.DEPART: self._depart,
            Kind.REROUTE: self._reroute,
            Kind.REFUSAL: self._refusal,
            Kind.SLOT: self._slot,
            Kind.ABSORB: self._absorb,
            Kind.QUOTA: self._quota,
            Kind.SHARED: self._shared,
        }
        self.with_arrival: dict[int, Callable[[Seat, Fields, bytes], None]] = {
            int(Kind.ARRIVE): self._arrive,
            int(Kind.ADMITTED): self._admitted,
            int(Kind.MEMBER): self._member,
            int(Kind.SAW): self._saw,
        }

    def _read(self, fields: Fields) -> Arrival:
        """Return a record's arrival, with places in the tables for its keys."""
        identities = self._identities
        at_ns, flows = fields[0], identities.flows
        parent = flows.find(fields[9]) if fields[9] else 0
        tenant = identities.tenants.index(fields[6], at_ns)
        flow = flows.index(fields[7], at_ns)
        rule_of = self._rule_of
        if rule_of is not None and fields[15] >= 0 and rule_of[flow] < 0:
            rule_of[flow] = fields[15]
        tree = identities.trees.index(fields[8], at_ns)
        arrival = unpack_arrival(fields, tenant, flow, tree)
        arrival.parent_flow = parent
        return arrival

    def _arrive(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        number = fields[1]
        if number in seat.leases:
            return  # told twice, around the start of this keeper
        gate = self._gates[fields[2]]
        caller = Caller(seat, number, gate, request_id)
        decision = gate.arrive(fields[0], self._read(fields), caller)
        decision.lease.owner = caller
        seat.leases[number] = decision.lease
        caller.tell(Kind.TOLD, fields[0], decision)

    def _admitted(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        number = fields[1]
        if number in seat.leases:
            return
        gate = self._gates[fields[2]]
        caller = Caller(seat, number, gate, request_id)
        seat.leases[number] = gate.adopt(fields[0], self._read(fields), caller, fields[5])

    def _answered(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.get(fields[1])
        if lease is not None:
            gate = self._gates[fields[2]]
            if fields[7] and is_normal(fields[5]):
                gate.sent_late(lease, fields[7])
            gate.answered(fields[0], lease, fields[5])

    def _leave(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.get(fields[1])
        if lease is None:
            return
        gate = self._gates[fields[2]]
        deliver(fields[0], gate.leave(fields[0], lease))
        if fields[4]:  # its place, if it got one meanwhile, was never used
            del seat.leases[fields[1]]
            if lease.state is _OPEN:
                deliver(fields[0], gate.depart(fields[0], lease, Outcome.UNSENT))

    def _depart(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.pop(fields[1], None)
        if lease is None:
            return
        gate, now_ns = self._gates[fields[2]], fields[0]
        if lease.state is _OPEN:
            if fields[7] and is_normal(fields[5]):  # who never answers is found by when it was sent
                gate.sent_late(lease, fields[7])
            followers = gate.depart(now_ns, lease, _OUTCOMES[fields[4]], fields[5], fields[6])
            if followers:
                deliver(now_ns, followers)
        elif lease.state is _PENDING:  # the worker went without an answer that came too late
            gate.lose(now_ns, lease)

    def _reroute(self, seat: Seat, fields: Fields) -> None:
        now_ns, number = fields[:2]
        gate = self._gates[fields[2]]
        lease = seat.leases.get(number)
        if lease is None:
            seat.tell(Kind.NOWHERE, now_ns, Caller(seat, number, gate, b""), None)
            return
        caller = lease.owner
        decision, followers = gate.reroute(now_ns, lease, Verdict(fields[5]))
        if decision is None:
            seat.tell(Kind.NOWHERE, now_ns, caller, None)
        else:
            caller.tell(Kind.TOLD, now_ns, decision)
        deliver(now_ns, followers)

    def _refusal(self, seat: Seat, fields: Fields) -> None:
        gate = self._gates[fields[2]]
        gate.refused.note(fields[0])
        self._board.refusals[fields[2]] = gate.refused.is_storm(fields[0])

    def _slot(self, seat: Seat, fields: Fields) -> None:
        lease = seat.leases.get(fields[1])
        gate = self._gates[fields[2]]
        caller = Caller(seat, fields[1], gate, b"") if lease is None else lease.owner
        decision = None
        if lease is not None:
            decision = gate.refused.answer(fields[0], lease, fields[5], fields[6])
        seat.tell(Kind.REPLY, fields[0], caller, decision)

    def _member(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        gate = self._gates[fields[2]]
        caller = Caller(seat, fields[1], gate, request_id)
        lease = make_lease(self._read(fields), fields[0], 0, caller)
        decision = gate.refused.answer(fields[0], lease, fields[5], fields[16])
        seat.tell(Kind.REPLY, fields[0], caller, decision)

    def _absorb(self, seat: Seat, fields: Fields) -> None:
        now_ns, number = fields[:2]
        gate = self._gates[fields[2]]
        lease = seat.leases.get(number)
        taken = None
        if lease is not None and lease.state is _OPEN:
            taken = gate.refused.absorb(now_ns, lease, fields[6], fields[7])
        if lease is None or taken is None:
            caller = Caller(seat, number, gate, b"") if lease is None else lease.owner
            seat.tell(Kind.REPLY, now_ns, caller, None)
            return
        decision, followers = taken
        seat.leases[number] = decision.lease
        seat.tell(Kind.REPLY, now_ns, lease.owner, decision)
        deliver(now_ns, followers)

    def _quota(self, seat: Seat, fields: Fields) -> None:
        at_ns = fields[0]
        tenant = self._identities.tenants.find(fields[6])
        self._gates[fields[2]].observe_quota(at_ns, tenant, fields[5], *fields[7:10])

    def _shared(self, seat: Seat, fields: Fields) -> None:
        ledger = self._gates[fields[2]].ledger
        ledger.n_arrived += fields[5]
        ledger.n_by_outcome[Outcome.COALESCED] += fields[5]

    def _saw(self, seat: Seat, fields: Fields, request_id: bytes) -> None:
        gate = self._gates[fields[2]]
        caller = Caller(seat, fields[1], gate, request_id)
        lease = make_lease(self._read(fields), fields[0], 0, caller)
        gate.saw(fields[0], lease, REASONS[fields[5]])
