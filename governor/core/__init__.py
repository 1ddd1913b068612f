"""The core decides. No I/O, no clock, no log: events with ``now_ns`` in, decisions out.

Five nouns: an *arrival* is the shape of one request; the *gate* of an upstream
decides about it; a *lease* is its claim on an endpoint; the *dispatcher* holds
those that wait; *reservations* are the slots of those that were sent away. The
*ledger* books where the upstream's seconds went.
"""

from __future__ import annotations

from typing import Final

IS_COMPILED: Final = not __file__.endswith(".py")
"""Whether this is the compiled core (``setup.py``); interpreted it does the same, half as fast."""
