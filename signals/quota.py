"""What is left of an upstream's quota, as the upstream itself tells.

*Rule of this file*: told, not estimated. What the upstream can do is
:mod:`signals.saturation`'s.

*Theory*: a provider that counts requests or tokens says how much is left of how
much, and when it will be whole again. Until then the share left is a fact that
no timing shows: a quota runs out at once, without queueing before. After it, or
where no reset was told a minute later, it is worth nothing.

*Regime*: as good as its teller. Answers overtake each other; the one told
last counts.
*Cost*: nothing per call; twenty notes a second at most (the rim samples).
*Source*: see ``governor/proxy/quota.py`` for the headers.
"""

from __future__ import annotations

import numpy as np

from signals.kernel import part
from signals.state import Records, put

FORGET_NS = 60_000_000_000
"""Without a reset: quotas are counted by the minute (OpenAI, Anthropic)."""

QUOTA_DTYPE = np.dtype(
    [
        ("limit", np.int64),
        ("remaining", np.int64),
        ("told_ns", np.int64),
        ("reset_ns", np.int64),  # the instant; 0 if not told
    ],
    align=True,
)

READINGS = (("quota_left", "ratio"), ("quota_reset", "seconds"))
"""Share of the quota that is left, and seconds until it is whole; not ready once outdated."""


def make_quota() -> Records:
    """Allocate what one upstream tells of its quota."""
    return np.zeros(1, QUOTA_DTYPE)


def keep_quota(quota: Records, t_ns: int, limit: int, remaining: int, reset_ns: int) -> None:
    """Keep what was told last; ``reset_ns`` is from now. What makes no sense is left out."""
    if limit <= 0 or remaining < 0:
        return
    q = quota[0]
    q["limit"] = limit
    q["remaining"] = min(remaining, limit)
    q["told_ns"] = t_ns
    q["reset_ns"] = t_ns + reset_ns if reset_ns > 0 else 0


@part
def is_quota_known(quota: Records, t_ns: int) -> bool:
    """Tell whether what was told still holds."""
    q = quota[0]
    if q["limit"] == 0:
        return False
    until_ns = q["reset_ns"] if q["reset_ns"] > 0 else q["told_ns"] + FORGET_NS
    return bool(t_ns < until_ns)


@part
def summarise_quota(quota: Records, t_ns: int, out: Records) -> None:
    """Write both readings."""
    q = quota[0]
    is_known = is_quota_known(quota, t_ns)
    left = q["remaining"] / q["limit"] if is_known else 0.0
    put(out, 0, left, q["limit"], is_known)
    has_reset = is_known and q["reset_ns"] > 0
    put(out, 1, (q["reset_ns"] - t_ns) * 1e-9 if has_reset else 0.0, q["limit"], has_reset)
