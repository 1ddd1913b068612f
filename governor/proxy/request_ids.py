"""Ids for requests that bring none: short, distinct, and made at the cost of a count.

*Rule of this file*: a random prefix by process, and a count. They tell requests
apart in answers, logs and traces; they are no secret and nothing is decided by them.
"""

from __future__ import annotations

from itertools import count
from secrets import token_hex

_ID_PREFIX = token_hex(5).encode()
_next_id = count(1).__next__


def begin_request_ids() -> None:
    """Begin anew, in a process that was forked: its ids must not be its siblings'."""
    global _ID_PREFIX, _next_id
    _ID_PREFIX, _next_id = token_hex(5).encode(), count(1).__next__


def new_request_id() -> bytes:
    """Return an id that no other request of this process has, nor likely of another."""
    return b"%b%010x" % (_ID_PREFIX, _next_id())
