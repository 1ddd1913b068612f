"""Callers without a past share one account, so that a new name is worth nothing.

*Rule of this file*: what the newcomers of a tenant have asked for lately.

*Theory*: least attained service puts whoever has had nothing first. Among callers
that come and stay this is fair; but a fan-out over fresh connections, or an
agent that makes up a name for each call, would always have had nothing. So a
flow without any attained service ranks by what all such flows of its tenant
have asked for within the last seconds: the first of them goes before those who
have been served, the hundredth behind. With its first answer a flow has a past
of its own.

*Cost*: only where callers wait. One number per tenant that has newcomers waiting.
"""

from __future__ import annotations

from math import exp2
from typing import Final

HALF_LIFE_NS: Final = 5_000_000_000
"""A burst of newcomers is over when they have been answered; a steady stream stays a stream."""

N_TENANTS_MAX: Final = 4_096
"""Memory bound: beyond it all accounts begin anew."""


class Newcomers:
    """The accounts of one upstream."""

    __slots__ = ("_by_tenant",)

    def __init__(self) -> None:
        self._by_tenant: dict[int, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._by_tenant)

    def charge(self, now_ns: int, tenant: int, service_s: float) -> float:
        """Return what the tenant's newcomers have asked for before this one, and add its call.

        Parameters
        ----------
        service_s : float
            What a call is expected to take; 0.0 if unknown.
        """
        at_ns, sum_s = self._by_tenant.get(tenant, (now_ns, 0.0))
        before_s = sum_s * exp2(-max(0, now_ns - at_ns) / HALF_LIFE_NS)
        if len(self._by_tenant) >= N_TENANTS_MAX and tenant not in self._by_tenant:
            self._by_tenant.clear()
        self._by_tenant[tenant] = (now_ns, before_s + service_s)
        return before_s
