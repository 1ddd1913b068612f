"""Where an exchange stands.

*Rule of this file*: words only. Plain integers, in the order of a request's
way, so that "has it been sent" is one comparison.
"""

from __future__ import annotations

NEW = 0
"""The gate has not been asked."""
WAITING = 1
"""In the gate's line; nothing was sent."""
JOINED = 2
"""Shares the call of an identical request, whose answer has not begun; nothing was sent."""
CONNECTING = 3
"""Admitted, without a connection yet; nothing was sent."""
SENT = 4
"""Bytes of it may have reached the upstream; no answer yet."""
STREAMING = 5
"""The answer has begun and is not complete."""
DONE = 6
"""Closed, with its outcome."""
