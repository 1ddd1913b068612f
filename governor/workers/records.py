"""What workers and the keeper write to each other: fixed places, integers only.

*Rule of this file*: names and places of fields. Keys are the reader's salted hashes; the
request's id is the only text, as the decision log shows it.

Every record begins with :data:`HEAD`: an instant, the lease's number within its worker, the
upstream, the kind, a flag and a small number. ``BODY`` has four more, by kind:

==========  ===========================================================================
HELLO       ``a`` epoch of the worker that writes from here on
ARRIVE      :data:`ARRIVAL`: a decision is asked for (TOLD)
ADMITTED    :data:`ARRIVAL`: within credit, or nobody could be asked; ``small`` the endpoint
MEMBER      :data:`ARRIVAL`: shares another's refusal and asks for its own slot (REPLY);
            ``small`` the status, ``more`` for how long the upstream asked to stay away
SAW         :data:`ARRIVAL`: what a policy at the rim only observes; ``small`` the reason
ANSWERED    ``small`` the status: first byte; ``b`` how much later than it got its place it went out
LEAVE       ``flag`` 1: before the worker has heard of a place
DEPART      ``flag`` the outcome, ``small`` the status, ``a`` Retry-After, ``b`` as ANSWERED
REROUTE     ``small`` the verdict; asks (TOLD or NOWHERE)
REFUSAL     the upstream answered 429 or 503
SLOT        ``small`` the status, ``a`` for how long it asked to stay away; asks (REPLY)
ABSORB      ``a`` as above, ``b`` the route's bound; asks (REPLY)
QUOTA       ``small`` its kind, ``a`` tenant, ``b`` limit, ``c`` remaining, ``d`` until reset
SHARED      ``small`` callers that shared another's call
----------  ---------------------------------------------------------------------------
TOLD        the decision that was asked for: ``flag`` the action, ``small`` the status,
            ``a`` reason, ``b`` until the caller's slot, ``c`` endpoint, ``d`` epoch
DECIDE      the same, of a lease that waited
NOWHERE     a call has nowhere else to go; ``d`` epoch
REPLY       as TOLD, of a refusal; ``flag`` :data:`NOTHING` for no decision
SWITCH      ``a`` and ``b`` lengths of a switch's name and value, which follow as text
==========  ===========================================================================

*Cost*: 0.3 us to pack a BODY, 1 us an ARRIVAL, 2.5 us to make an Arrival of it again; measured on
a busy machine.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from governor.core.arrival import Arrival
from policies.decision import Reason

HEAD = Struct("<qqHBBi")
BODY = Struct("<qqHBBiqqqq")
ARRIVAL = Struct("<qqHBBi11qiiBBBBH")
"""HEAD; tenant, flow, tree, parent, fingerprint, affinity, patience, longest wait, source, number
of the configured agent, one more; attempt, switches; family, kind, urgency, flags; length of the
request's id."""

ID_AT = ARRIVAL.size
ID_BYTES = 128
"""As long as the rim keeps them."""

UP_BYTES = 256
"""A record towards the keeper."""
DOWN_BYTES = 128
"""A record towards a worker."""
TEXT_AT = BODY.size

KIND_AT = 18
"""Of every record, the byte that says its kind."""

NOTHING = 255
"""In place of an action."""

NO_RULE_TOLD = -1
"""In place of a configured agent's number: none are configured."""


class Kind(IntEnum):
    """What a record tells."""

    HELLO = 1
    ARRIVE = 2
    ADMITTED = 3
    MEMBER = 4
    SAW = 5
    ANSWERED = 6
    LEAVE = 7
    DEPART = 8
    REROUTE = 9
    REFUSAL = 10
    SLOT = 11
    ABSORB = 12
    QUOTA = 13
    SHARED = 14
    TOLD = 20
    DECIDE = 21
    NOWHERE = 22
    REPLY = 23
    SWITCH = 24


REASONS = tuple(Reason)
REASON_CODE = {reason: code for code, reason in enumerate(REASONS)}

IDENTIFIED, EXEMPT, CAN_RETRY, DEADLINE = 1, 2, 4, 8

assert ID_AT + ID_BYTES <= UP_BYTES
_INT32_MAX = (1 << 31) - 1


def pack_arrival(
    memory: memoryview,
    place: int,
    at_ns: int,
    number: int,
    upstream: int,
    kind: int,
    small: int,
    arrival: Arrival,
    rule: int,
    request_id: bytes,
    more: int = 0,
) -> None:
    """Write an ARRIVAL record; tenant, flow, tree and parent are keys."""
    n_id = len(request_id)
    ARRIVAL.pack_into(
        memory,
        place,
        at_ns,
        number,
        upstream,
        kind,
        0,
        small,
        arrival.tenant,
        arrival.flow,
        arrival.tree,
        arrival.parent_flow,
        arrival.fingerprint,
        arrival.affinity,
        arrival.patience_ns,
        arrival.max_wait_ns,
        arrival.source,
        rule,
        more,
        arrival.attempt if arrival.attempt <= _INT32_MAX else _INT32_MAX,
        arrival.switches,
        arrival.family,
        arrival.kind,
        arrival.urgency,
        arrival.is_identified
        | arrival.is_exempt << 1
        | arrival.can_retry << 2
        | arrival.is_deadline << 3,
        n_id,
    )
    if n_id:
        memory[place + ID_AT : place + ID_AT + n_id] = request_id


def unpack_arrival(fields: tuple[int, ...], tenant: int, flow: int, tree: int) -> Arrival:
    """Return the arrival of a record's fields, with places in the keeper's tables for keys.

    The parent is left to whoever has the tables.
    """
    (fingerprint, affinity, patience_ns, max_wait_ns, source) = fields[10:15]
    (attempt, switches, family, kind, urgency, flags) = fields[17:23]
    return Arrival(
        tenant,
        flow,
        tree,
        fingerprint,
        attempt,
        urgency,
        patience_ns,
        flags & IDENTIFIED != 0,
        flags & EXEMPT != 0,
        flags & CAN_RETRY != 0,
        family,
        0,
        flags & DEADLINE != 0,
        kind,
        affinity,
        switches,
        max_wait_ns,
        source,
    )
