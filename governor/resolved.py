"""What the configuration's words about policies come to: numbers, settled before the first request.

*Rule of this file*: from frozen configuration to the core's integers, once at the start.
"""

from __future__ import annotations

from governor.config.policies import Policies, RoutePolicies
from governor.core.arrival import URGENCY_DEFAULT
from governor.core.terms import Terms
from policies.switches import NO_SWITCHES, Modes, observe_all

_NS = 1_000_000_000


def modes_of(policies: Policies, own: RoutePolicies | None = None) -> Modes:
    """Return each policy's state: a route's own, else the file's."""
    states = [getattr(own, name, None) or getattr(policies, name) for name in Modes._fields]
    return Modes(*states)


def switches_of(policies: Policies, own: RoutePolicies | None = None) -> int:
    """Return the states, packed, for all or for a route; with ``mode: observe`` nothing governs."""
    switches = modes_of(policies, own).pack()
    return observe_all(switches) if policies.mode == "observe" else switches


def terms_of(policies: Policies, own: RoutePolicies) -> Terms:
    """Return what a route lays down; where it is what the file says anyway, nothing."""
    switches = switches_of(policies, own)
    is_same = switches == switches_of(policies)
    return Terms(
        NO_SWITCHES if is_same else switches,
        int((own.max_wait_s or 0.0) * _NS),
        int((own.patience_s or 0.0) * _NS),
        URGENCY_DEFAULT if own.urgency is None else own.urgency,
    )
