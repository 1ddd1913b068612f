"""The closed vocabulary of what can be done with an arrival, and why.

The same words appear in code, log, metric label and docs.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Action(IntEnum):
    """What to do with an arrival. The numbers are names, not ranks."""

    ADMIT = 0
    """Send it to its endpoint now."""
    WAIT = 1
    """It stands in the line; a later command admits or answers it."""
    ANSWER = 2
    """Governor answers it itself, with a time to come back."""
    DIVERT = 3
    """The gate of the fallback upstream decides about it."""


class Reason(StrEnum):
    """Why. Bounded: safe as a metric label."""

    UNTOUCHED = "untouched"
    """Admitted on arrival: the endpoint has room and nobody waits."""
    EXEMPT = "exempt"
    """The route or the kind of call is never held."""
    OVER_LIMIT = "over_limit"
    """As many requests are in flight as the endpoint can serve at its pace."""
    HELD = "held"
    """Came in a crowd: the last places are kept for 200 ms for those who come by themselves."""
    CONTAINED = "contained"
    """Its kind holds places for long, or hangs; some are kept for the calls of others."""
    ACCELERATING = "accelerating"
    """Demand grows faster than the upstream's configured acceleration allows."""
    OVER_QUOTA = "over_quota"
    """The upstream's refusals have shown its quota; it is sent as many calls a second."""
    HELD_BACK = "held_back"
    """Left ungoverned on purpose, to measure what governing does for the others."""
    CAPACITY_FREED = "capacity_freed"
    """Waited; a place came free."""
    LINE_TOO_LONG = "line_too_long"
    """The line cannot be served within the callers' patience."""
    PATIENCE_SPENT = "patience_spent"
    """Waited so long that an answer would come too late for the caller."""
    DOOMED = "doomed"
    """Waited for the sake of a call whose caller has left: nobody wants its answer."""
    LINE_FULL = "line_full"
    """The configured bound on waiting requests is reached."""
    REROUTED = "rerouted"
    """An endpoint failed it before the first byte; it goes to another one."""
    FALLBACK = "fallback"
    """Its upstream is out of use, or cannot take it in time: the fallback upstream is asked."""
    ABSORBED = "absorbed"
    """The upstream refused; its refusal is waited out here and the request sent again."""
    COALESCED = "coalesced"
    """Shares the answer of an identical request that is under way; takes no place of its own."""
    SLOT_GIVEN = "slot_given"
    """The upstream refused in a storm; its refusal went on with the caller's own slot."""
    NO_RETRY = "no_retry"
    """The upstream refused in a storm, and no retry of this caller could still be served."""
    CAPPED = "capped"
    """Its agent is held: as many of its calls are in flight as its envelope allows."""
    QUARANTINED = "quarantined"
    """Its agent is quarantined; it is answered so until a person releases it."""
    OBSERVED = "observed"
    """Observe mode: admitted, though governing would have acted."""


class Outcome(IntEnum):
    """How a lease ended. Exactly one per lease."""

    COMPLETED = 0
    """The upstream answered a caller that was there, and not with a refusal."""
    REFUSED = 1
    """The upstream answered 429 or 503: no capacity was used."""
    FAILED = 2
    """The upstream answered another error that callers repeat (408, 5xx), or broke off."""
    ORPHANED = 3
    """The upstream's work ended, or its bound passed, after the caller had left."""
    CANCELLED = 4
    """The caller left and the upstream's work was cut short."""
    UNSENT = 5
    """No byte reached the upstream (no connection): says nothing of its speed."""
    COALESCED = 6
    """It shared another request's call; what came of that is booked there."""
