"""Who yields to whom, for people: numbers and sentences of one upstream's shaping.

*Rule of this file*: reading and wording only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from governor.core.bands import Band
from governor.core.gate import Gate
from policies.holdback import Holdback


def describe_shaping(gate: Gate) -> dict[str, Any]:
    """Return what crowds, long calls, steep demand and callers held back are met with."""
    shaping = gate.shaping
    containment, acceleration = shaping.containment, shaping.acceleration
    return {
        "in_words": list(put_shaping_in_words(gate)),
        "waiting": {band.name.lower(): gate.line.length(band) for band in Band},
        "hold": {
            "mode": shaping.modes.hold,
            "callers_at_once": shaping.herd.bound,
            "marked": shaping.herd.n_marked,
        },
        "contain": {
            "mode": shaping.modes.contain,
            "kept_places": containment.kept_places,
            "long_in_flight": containment.n_long,
        },
        "acceleration": None if acceleration is None else {"envelope_hz": acceleration.envelope_hz},
        "quota": {"rate_hz": shaping.quota.rate_hz, "pace_hz": shaping.quota.pace_hz},
        "holdback": describe_holdback(shaping.holdback),
        "observed": {reason.value: n for reason, n in shaping.n_observed.items()},
    }


def describe_holdback(holdback: Holdback) -> dict[str, Any]:
    """Return both arms, and the benefit with its 95 % interval once it can be told."""
    estimate = holdback.estimate()
    return {
        "share": holdback.share,
        "governed": {"calls": holdback.n[0], "ended_well": holdback.n_good[0]},
        "held_back": {"calls": holdback.n[1], "ended_well": holdback.n_good[1]},
        "benefit": None
        if estimate is None
        else {"share": estimate.benefit, "low": estimate.low, "high": estimate.high},
    }


def put_shaping_in_words(gate: Gate) -> Iterator[str]:
    """Yield what is being done now, a sentence each; nothing where nobody yields."""
    shaping = gate.shaping
    n_crowd = gate.line.length(Band.CROWD)
    if n_crowd:
        yield f"{n_crowd} that came in a crowd let others go first."
    containment = shaping.containment
    if containment.kept_places and shaping.modes.contain == "govern":
        yield (
            f"Calls that hold their places for long have {containment.n_long}; "
            f"{containment.kept_places} of {gate.limit} are kept for brief ones."
        )
    if shaping.acceleration is not None and not shaping.acceleration.has_room:
        yield (
            f"Demand rises faster than configured: {shaping.acceleration.envelope_hz:.1f} "
            "calls a second may be sent now."
        )
    estimate = shaping.holdback.estimate()
    if estimate is not None:
        yield (
            f"Governing adds {estimate.benefit:+.1%} to the share of calls that end well "
            f"(95 %: {estimate.low:+.1%} to {estimate.high:+.1%}); a lower bound, for those left "
            "alone share the upstream."
        )
