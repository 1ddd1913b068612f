"""An upstream's refusals, as a worker asks about them.

*Rule of this file*: the part of :class:`governor.core.refused.Refused` that the rim uses. A refusal
is told of; outside a storm, and where the route does not absorb, nobody is asked. What is asked
is waited for, as :mod:`governor.workers.link` says: the answer's head is in the rim's hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from governor.core.lease import Decision, Lease, LeaseState, Untouched, make_lease
from governor.workers.link import RemoteLease, Reply
from governor.workers.records import NOTHING, REASONS, Kind
from policies.decision import Action, Reason

if TYPE_CHECKING:
    from governor.workers.remote_gate import RemoteGate

_CLOSED = LeaseState.CLOSED


class RemoteRefused:
    """The upstream's refusals, asked about; as :class:`governor.core.refused.Refused`."""

    __slots__ = ("_gate",)

    def __init__(self, gate: RemoteGate) -> None:
        self._gate = gate

    def note(self, now_ns: int) -> None:
        """Tell of one refusal of the upstream."""
        gate = self._gate
        gate.link.send(Kind.REFUSAL, gate.idx, now_ns, 0)

    def answer(self, now_ns: int, lease: Lease, status: int, asked_ns: int) -> Decision | None:
        """Ask what a refusal's caller is told, in a storm; None: what the upstream said."""
        gate = self._gate
        link = gate.link
        if not link.board.refusals[gate.idx] or not link.may_ask(now_ns):
            return None
        if isinstance(lease, RemoteLease):
            if not lease.is_booked:
                return None
            number = lease.number
            link.send(Kind.SLOT, gate.idx, now_ns, number, small=status, a=asked_ns)
        else:  # it shares the call of another
            number = link.next_number()
            parts = (gate.idx, now_ns, number, lease.arrival, lease.owner, link.latest_rule())
            if not link.send_arrival(Kind.MEMBER, *parts, small=status, more=asked_ns):
                return None
        reply = link.ask(number)
        if reply is None or reply[4] == NOTHING:
            return None
        return read_decision(lease, reply)

    def absorb(
        self, now_ns: int, lease: Lease, asked_ns: int, bound_ns: int
    ) -> tuple[Decision, Sequence[Decision]] | None:
        """Ask whether a refusal may be waited out; None: it may not."""
        assert isinstance(lease, RemoteLease)
        gate = self._gate
        link = gate.link
        if not lease.is_booked or lease.has_left or not link.may_ask(now_ns):
            return None
        link.send(Kind.ABSORB, gate.idx, now_ns, lease.number, a=asked_ns, b=bound_ns)
        reply = link.ask(lease.number)
        if reply is None or reply[4] == NOTHING:
            return None
        gate.close_place(lease)
        lease.state = _CLOSED
        again = make_lease(lease.arrival, lease.arrived_at_ns, lease.call, lease.owner, RemoteLease)
        again.number, again.gate, again.rule = lease.number, gate, lease.rule
        again.is_asked, again.late_ns = False, 0
        again.is_told = again.is_booked = True
        link.leases[lease.number] = again
        return read_decision(again, reply), ()


def read_decision(lease: Lease, record: Reply) -> Decision:
    """Return the decision that a record tells."""
    code = record[6]
    reason = REASONS[code & 0xFF]
    if reason is Reason.UNTOUCHED:
        admitted: Decision = Untouched()
        admitted.lease = lease
        return admitted
    observed = REASONS[(code >> 8) - 1] if code >> 8 else None
    return Decision(Action(record[4]), reason, lease, record[7], record[5], observed)
