"""What is known of a quota, for a caller that is sent away.

*Rule of this file*: reading. What a provider told of a credential's quota is
kept by :mod:`signals.quota`, the ramp of demand by :mod:`policies.acceleration`;
nothing is counted here.

*Theory*: between two notes others spend on, so what is left is what was told
less the slope times the note's age: never more than was told, never a promise.
Only what is counted in requests is said: what a call costs in tokens is content.
Quotas are kept per credential; callers that share the overflow entry of a full
table hear nothing of each other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from signals.quota import FRESH_S, N_KINDS, QUOTA_REQUESTS

if TYPE_CHECKING:
    from governor.core.gate import Gate

UNNAMED: Final = 4
"""The kind of a quota whose header does not say what it counts; by default requests."""

_NAMES: Final = {QUOTA_REQUESTS: "requests", UNNAMED: "upstream"}
_NS: Final = 1e-9


class QuotaLeft(NamedTuple):
    """One quota that a caller is under."""

    name: str
    limit: int
    """Requests that it allows."""
    window_s: int
    """In which it allows them; 0 if not told."""
    left: int
    """Of it, at most; -1 if not known."""
    reset_s: float
    """Until it is whole again; 0 if not told."""


def read_quotas_left(gate: Gate, tenant: int, now_ns: int) -> list[QuotaLeft]:
    """Return the quotas of one credential at one upstream, as far as they are known.

    Parameters
    ----------
    tenant : int
        Index in the table of tenants; 0, the shared overflow entry, has none.
    """
    found = _read_told(gate, tenant, now_ns) if tenant > 0 else []
    ramp = gate.shaping.acceleration
    if ramp is not None:
        # the whole fleet's, so room says nothing of one caller's share; no room does
        left = -1 if ramp.has_room else 0
        found.append(QuotaLeft("acceleration", max(1, int(ramp.envelope_hz)), 1, left, 0.0))
    return found


def _read_told(gate: Gate, tenant: int, now_ns: int) -> list[QuotaLeft]:
    found = []
    state = gate.signals.state
    now_ns += int(state.process[0]["shift_ns"])  # the signals have a time axis of their own
    for q in state.quotas.tolist():
        key, noted_ns, reset_ns, limit, remaining, used, seconds, _ = q
        kind = (key - 1) % N_KINDS
        age_s = (now_ns - noted_ns) * _NS
        is_due = reset_ns and now_ns >= reset_ns
        if key < 1 or (key - 1) // N_KINDS != tenant or kind not in _NAMES:
            continue
        if age_s > FRESH_S or is_due or limit < 1.0:
            continue
        slope_hz = max(0.0, used / seconds) if seconds > 0.0 else 0.0
        left = max(0, int(remaining - slope_hz * max(0.0, age_s)))
        reset_s = (reset_ns - now_ns) * _NS if reset_ns else 0.0
        found.append(QuotaLeft(_NAMES[kind], int(limit), 0, left, reset_s))
    return found
