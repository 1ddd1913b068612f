"""Who yields to whom, for people: numbers and sentences of one upstream's shaping.

*Rule of this file*: reading and wording only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from governor.core.bands import Band
from governor.core.gate import Gate
from policies.holdback import Holdback
from policies.switches import unpack


def describe_shaping(gate: Gate) -> dict[str, Any]:
    """Return each policy's state, and what crowds, long calls and steep demand are met with."""
    shaping = gate.shaping
    containment, acceleration = shaping.containment, shaping.acceleration
    modes = unpack(shaping.switches)
    return {
        "in_words": list(put_shaping_in_words(gate)),
        "waiting": {band.name.lower(): gate.line.length(band) for band in Band},
        "hold": {
            "mode": modes.hold,
            "callers_at_once": shaping.herd.bound,
            "kept_places": shaping.kept_from_crowd,
            "marked": shaping.herd.n_marked,
        },
        "outlook": gate.outlook._asdict(),
        "contain": {
            "mode": modes.contain,
            "kept_places": containment.kept_places,
            "long_in_flight": containment.n_long,
            "hung_in_flight": containment.n_hung,
            "hung_cap": containment.hung_cap if containment.n_hung_kinds else None,
            "hangs_found": containment.n_trips,
        },
        "acceleration": None if acceleration is None else {"envelope_hz": acceleration.envelope_hz},
        "quota": {"rate_hz": shaping.quota.rate_hz, "pace_hz": shaping.quota.pace_hz},
        "holdback": describe_holdback(shaping.holdback),
        "policies": modes._asdict(),
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
    outlook = gate.outlook
    if outlook.is_storm and shaping.kept_from_crowd:
        yield (
            f"Failed callers are about to come back, {outlook.held_hz:.0f} a second: a crowd "
            f"leaves {shaping.kept_from_crowd} of {gate.limit} places to those who come by "
            "themselves."
        )
    containment = shaping.containment
    if containment.kept_places and unpack(shaping.switches).contain == "govern":
        yield (
            f"Calls that hold their places for long have {containment.n_long}; "
            f"{containment.kept_places} of {gate.limit} are kept for brief ones."
        )
    if containment.n_hung_kinds and unpack(shaping.switches).contain == "govern":
        yield (
            f"Calls of one kind are not answered, others are: {containment.n_hung} hold places, "
            f"and no more may than {containment.hung_cap}."
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
