"""``RateLimit`` and ``RateLimit-Policy``: what Governor's own refusals tell of a known quota.

*Rule of this file*: integers in, header lines out, for Governor's own 429 and
503 only. An upstream's answer keeps its own fields, untouched.

*Theory*: both are Lists of structured fields: a policy's name with ``q`` (what
it allows) and ``w`` (in how many seconds), its present state with ``r`` (what
is left) and ``t`` (for how many seconds that must do). A caller that gets
``Retry-After`` too must heed that first, and it should not end before ``t``
does: a reset that lies beyond the caller's slot is left out, never shortened,
which would promise more than the provider does.

*Source*: draft-ietf-httpapi-ratelimit-headers-11, sections 3, 4, 6 and 7.2
(an intermediary may not tell of a more permissive quota); RFC 9651.
"""

from __future__ import annotations

from collections.abc import Iterable

from governor.core.quotas import QuotaLeft

_NS = 1_000_000_000


def write_quotas(quotas: Iterable[QuotaLeft], retry_after_ns: int) -> list[str]:
    """Return the header lines for what is known; none if nothing is.

    Parameters
    ----------
    retry_after_ns : int
        How long the caller is asked to stay away; not above 0 if it is not asked.

    Examples
    --------
    >>> write_quotas([QuotaLeft("requests", 100, 0, 7, 2.5)], 5_000_000_000)
    ['RateLimit-Policy: "requests";q=100', 'RateLimit: "requests";r=7;t=3']
    >>> write_quotas([QuotaLeft("acceleration", 20, 1, 0, 0.0)], 1_500_000_000)
    ['RateLimit-Policy: "acceleration";q=20;w=1', 'RateLimit: "acceleration";r=0;t=2']
    >>> write_quotas([], 0)
    []
    """
    stay_s = max(0, -(-retry_after_ns // _NS))
    policies = []
    states = []
    for quota in quotas:
        window = f";w={quota.window_s}" if quota.window_s else ""
        policies.append(f'"{quota.name}";q={quota.limit}{window}')
        if quota.left < 0:
            continue
        until_s = -int(-quota.reset_s // 1)
        if not until_s and not quota.left:
            until_s = stay_s
        is_within = until_s > 0 and (until_s <= stay_s or not stay_s)
        states.append(f'"{quota.name}";r={quota.left}' + f";t={until_s}" * is_within)
    lines = []
    if policies:
        lines.append("RateLimit-Policy: " + ", ".join(policies))
    if states:
        lines.append("RateLimit: " + ", ".join(states))
    return lines
