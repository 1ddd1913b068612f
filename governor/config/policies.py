"""How Governor intervenes: the switches of its policies, for all requests and for one route.

*Rule of this file*: values and their bounds only. The text under each field is
its reference, and its description in ``governor schema``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from governor.config.fields import Seconds
from governor.config.section import Section

Mode = Literal["govern", "observe"]
PolicyMode = Literal["govern", "observe", "off"]


class Policies(Section):
    """How Governor intervenes.

    A policy governs, observes (decides the same, counts it and does nothing) or is off.
    """

    mode: Mode = "govern"
    """observe computes and reports every decision and changes nothing: each policy that is not off
    observes. Default govern."""
    hold: PolicyMode = "govern"
    """Whoever arrives in a crowd lets those go first who come by themselves, for at most 200 ms
    beside a free place: govern, observe (count only) or off. Default govern."""
    contain: PolicyMode = "govern"
    """Calls of a kind that holds its place for long leave room for brief ones: govern, observe
    (count only) or off. Default govern."""
    limit: PolicyMode = "govern"
    """Requests beyond what an endpoint serves at once wait in the line: govern, observe (send them
    on and count) or off. Default govern."""
    slots: PolicyMode = "govern"
    """An upstream's 429 or 503 in a storm goes on with a time to come back that is its caller's
    own: govern, observe (count only) or off. Default govern."""
    absorb: PolicyMode = "govern"
    """Refusals are waited out on routes that say absorb: govern, observe (count only) or off.
    Default govern."""
    coalesce: PolicyMode = "govern"
    """Identical requests share a call on routes that say coalesce: govern, observe (count only) or
    off. Default govern."""
    reroute: PolicyMode = "govern"
    """The cheaper endpoint takes a request, a failed one goes elsewhere, the fallback is asked:
    govern, observe (the roomiest endpoint takes it; count the rest) or off. Default govern."""
    acceleration: PolicyMode = "govern"
    """Demand grows no faster than an upstream's acceleration says: govern, observe (count only) or
    off. Default govern."""
    holdback_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Share of the callers, 0 to 0.5, that are left ungoverned to measure what governing does for
    the others. Default 0: nobody."""
    patience_s: Seconds = 10.0
    """How long a caller is assumed to wait before its own is hinted or learned. Default 10s:
    below common time-outs."""
    slot_horizon_s: Annotated[Seconds, Field(ge=1, le=60)] = 60.0
    """Latest time that a caller is told to come back after, 1s to 60s. Default 60s: SDKs ignore
    longer ones."""
    ratelimit_headers: bool = True
    """Governor's own 429 and 503 say in RateLimit and RateLimit-Policy what is known of the
    caller's quota of requests; an upstream's answers keep their own. Default true."""


class RoutePolicies(Section):
    """What a route lays down for its own requests; what it leaves out is as the file says."""

    hold: PolicyMode | None = None
    """As policies.hold, for this route: govern, observe or off. Default: as there."""
    contain: PolicyMode | None = None
    """As policies.contain, for this route: govern, observe or off. Default: as there."""
    slots: PolicyMode | None = None
    """As policies.slots, for this route: govern, observe or off. Default: as there."""
    absorb: PolicyMode | None = None
    """As policies.absorb, for this route: govern, observe or off. Default: as there."""
    coalesce: PolicyMode | None = None
    """As policies.coalesce, for this route: govern, observe or off. Default: as there."""
    max_wait_s: Seconds | None = None
    """Longest wait for a place, instead of the upstream's max_wait. Default: as there."""
    patience_s: Seconds | None = None
    """How long this route's callers wait, where they do not say: taken as if each had said it, so
    nothing is learned in its place. Default: policies.patience, then what is learned."""
    urgency: Annotated[int, Field(ge=0, le=7)] | None = None
    """RFC 9218 urgency, 0 (first) to 7 (last), of requests that name none or the usual 3; it orders
    a caller's own requests, not one caller before another. Default: 3."""
