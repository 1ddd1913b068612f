"""One record of what a gate was told or decided: 104 bytes of integers.

*Rule of this file*: names and places of the fields; nothing is read or written here.

*Theory*: a gate's decisions follow from what it is told and when. So what is told
is recorded in order, whole; what it decided is recorded beside it, to compare.
Every number of an :class:`~governor.core.arrival.Arrival` is there, for each may
decide; what a route lays down for its requests is among them. Tenant, flow and tree are
places in tables whose keys are salted hashes and are not recorded; when a place is handed to
another caller, that is a record of its own. So is what people and envelopes do beside the
gates: a switch thrown, a flow held, quarantined or released. A record without an upstream of
its own says 0.

Fields of a record, by kind:

==============  ==================================================================
all             ``t_ns``, ``kind``, ``upstream``
ARRIVE          ``number`` (of the lease), ``request`` (checksum of the request's id),
                the arrival, and the decision: ``action``, ``reason``, ``delay_ns`` (until
                the caller's slot), ``status``, ``endpoint``; ``status`` is ``BOOKED`` if it was
                not asked for (:mod:`governor.core.adoption`)
MEMBER          as ARRIVE without decision: a caller that shares another's call
DECIDE          ``number`` and a decision, about a lease that waited
ANSWERED        ``number``, ``status``: first byte
LEAVE           ``number``; ``action`` is 1 if it was lost with its worker
DEPART          ``number``, ``action`` (an ``Outcome``), ``status``, ``delay_ns`` (Retry-After)
QUOTA           ``tenant``, ``endpoint`` (its kind), ``fingerprint`` (limit), ``affinity``
                (remaining), ``delay_ns`` (until reset)
TICK            nothing more
REROUTE         ``number``, ``endpoint`` (the verdict), ``reason`` (index + 1; 0: None)
REFUSAL         nothing more: the upstream answered 429 or 503
SLOT            ``number``, ``status``, ``delay_ns`` (asked by the upstream); ``action`` is
                1 if a decision follows as DECIDE
ABSORB          ``number``, ``delay_ns`` (asked), ``patience_ns`` (bound), ``request`` (number
                of the lease that goes on; 0: it was not absorbed)
HANDOVER        ``endpoint`` (0 tenants, 1 flows, 2 trees), ``number`` (the place)
SWITCH          ``number`` (the policies' states, packed), ``action`` is 1 in observe mode
RESTRAIN        ``number`` (the flow), ``request`` (its calls in flight; 0: quarantined)
RELEASE         ``number`` (the flow)
LATE            ``number``, ``delay_ns``: it went out so much later than it got its place
==============  ==================================================================

*Cost*: an arrival and its end are written by the signals' entrances (:mod:`signals.tape`, where
the layout is), which are handed most of it anyway; the others by ``Struct.pack_into``, 15 to
25 ns a number. See ``python -m bench record``.
*Considered and rejected*: these two by ``Struct`` as well: 22 and 6 numbers fetched and handed
over a second time, three times the cost; assigning a tuple to a row of the structured array, 1.7
times as slow as that; an object for each event, packed later: the same work, later, and more.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from operator import attrgetter
from struct import Struct
from typing import Any, Final

import numpy as np

from governor.core.arrival import Arrival
from policies.decision import Reason
from signals.tape import ARRIVED, BEGUN, ENDED, ROW_DTYPE


class Kind(IntEnum):
    """What a record tells."""

    ARRIVE = 1
    MEMBER = 2
    DECIDE = 3
    ANSWERED = 4
    LEAVE = 5
    DEPART = 6
    QUOTA = 7
    TICK = 8
    REROUTE = 9
    REFUSAL = 10
    SLOT = 11
    ABSORB = 12
    HANDOVER = 13
    SWITCH = 14
    RESTRAIN = 15
    RELEASE = 16
    LATE = 17


BOOKED: Final = -1
"""In place of the status of an arrival: nothing was decided, it was under way."""


EVENT_DTYPE: Final = ROW_DTYPE
"""One record. The order is that of the structs below."""

HEAD: Final = Struct("<qIIqBBBBhh")
"""The first 32 bytes, all that most kinds need."""

WHOLE: Final = Struct("<qIIqBBBBhhiiiiqqqi????BBBxqqi")
"""All of it."""

END: Final = Struct("<qI4xqHBxh2x")
"""As ``HEAD``, of a departure; kind and upstream as one number, zeros where they always are."""

SAID: Final = Struct("<qHBBhh")
"""Of an arrival's record, from ``DELAY_AT`` on: what was decided about it."""

DELAY_AT: Final = 16

KIND_AT: Final = 24
"""Of any record, from where kind, upstream, action, reason, status and endpoint stand."""

DECISION: Final = Struct("<qI4xqHBBhh")
"""As ``HEAD``, of a decision about a lease that was there before."""

BEGIN: Final = Struct("<qI12xH2xh2x")
"""As ``HEAD``, of a first byte."""

assert {HEAD.size, END.size, DECISION.size, BEGIN.size} == {32}
assert (Kind.ARRIVE, Kind.ANSWERED, Kind.DEPART) == (ARRIVED, BEGUN, ENDED)

get_shape: Callable[[Arrival], tuple[int, ...]] = attrgetter(
    *("tenant", "flow", "tree", "parent_flow", "fingerprint", "affinity", "patience_ns"),
    *("attempt", "is_identified", "is_exempt", "can_retry", "is_deadline"),
    *("family", "urgency", "kind", "source", "max_wait_ns", "switches"),
)
"""An arrival's numbers in the order of a record; short to write, not fast."""

EVENT_BYTES: Final = WHOLE.size

TAIL_FIELDS: Final = tuple(EVENT_DTYPE.names or ())[10:]
"""What only arrivals, quotas and absorbed refusals fill."""

KINDS_WITH_TAIL: Final = (Kind.ARRIVE, Kind.MEMBER, Kind.QUOTA, Kind.ABSORB)

REASONS: Final = tuple(reason.value for reason in Reason)
"""A record's ``reason`` is an index of this; a file brings its own list."""

REASON_CODE: dict[Any, int] = {reason: idx for idx, reason in enumerate(Reason)}


def make_events(n: int) -> np.ndarray[Any, Any]:
    """Return ``n`` empty records."""
    return np.zeros(n, EVENT_DTYPE)


assert EVENT_DTYPE.itemsize == EVENT_BYTES == 104
assert EVENT_DTYPE.fields is not None
assert EVENT_DTYPE.fields["kind"][1] == KIND_AT
