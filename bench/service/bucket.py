"""A token bucket: the quota of a provider.

*Rule of this file*: no clock; instants are the caller's and must not go back.
"""

from __future__ import annotations


class TokenBucket:
    """``depth`` tokens at most, ``rate_hz`` more each second; full at first."""

    def __init__(self, rate_hz: float, depth: float, now_s: float) -> None:
        self.rate_hz = rate_hz
        self.depth = depth
        self.tokens = depth
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Take one token if there is one."""
        self.tokens = min(self.depth, self.tokens + (now_s - self._at_s) * self.rate_hz)
        self._at_s = now_s
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
