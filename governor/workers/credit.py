"""How many calls each worker may hold in flight without asking.

*Rule of this file*: numbers in, numbers out.

*Theory*: the keeper's gate admits whatever finds room. So all places that are free may be lent:
whichever workers use their credit, in whatever order, every one of those calls would have been
admitted, and together they cannot exceed the limit. A worker whose credit is used asks, and may
be given a place that another holds as credit; until that credit has been called back, a fraction
of a millisecond later, both can claim it. That is all by which the limit can be exceeded beyond
what it has just fallen.

A credit counts what a worker holds already, so that it needs no other number to keep to it, and
what it gives back it may use again at once. The part of each grows with what it holds: sockets
are spread over workers by a hash, evenly only where there are many.

*Considered and rejected*: lending half of what is free, so that no place is ever claimed twice:
it is asked for more often, and on storms neither the decisions nor the calls above the limit
differ (``python -m bench workers-storm``); equal parts (with few connections one worker has all
the traffic, and would ask while others hold credit that nobody uses).
"""

from __future__ import annotations

from collections.abc import Sequence


def lend(n_free: int, opens: Sequence[int]) -> list[int]:
    """Return each worker's credit; 0 where nothing is lent: it asks for every call.

    Parameters
    ----------
    n_free : int
        Places that nobody holds and nobody waits for.
    opens : sequence of int
        Calls that each worker holds now.

    Examples
    --------
    >>> lend(20, [0, 0]), lend(20, [30, 0]), lend(1, [5, 5]), lend(0, [5, 5])
    ([10, 10], [49, 1], [6, 0], [0, 0])
    """
    if n_free <= 0:
        return [0] * len(opens)
    parts = sum(opens) + len(opens)
    extras = [n_free * (n_open + 1) // parts for n_open in opens]
    n_left = n_free - sum(extras)
    for k in sorted(range(len(opens)), key=extras.__getitem__)[:n_left]:  # who has least, first
        extras[k] += 1
    return [n_open + extra if extra else 0 for n_open, extra in zip(opens, extras, strict=True)]
