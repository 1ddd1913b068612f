"""How many calls each worker may hold in flight without asking.

*Rule of this file*: numbers in, numbers out.

*Theory*: the keeper's gate admits whatever finds room. So let ``n_free`` places be free, and lend
half of them: whichever workers use their credit, in whatever order, every one of those calls
would have been admitted, and as many again may be admitted by the keeper itself before two
claims meet at one place. Near the limit halves are small and nearly every call is asked for,
which is where a decision per call is worth its 0.2 ms.

A credit counts what a worker holds already, so that it needs no other number to keep to it, and
what it gives back it may use again at once. The part of each grows with what it holds: sockets
are spread over workers by a hash, evenly only where there are many.

*Considered and rejected*: lending all that is free (until a worker that has run out has been
answered, its own calls and the others' unused credit could go beyond the limit together); equal
parts (with few connections one worker has all the traffic, and would ask while others hold
credit that nobody uses).
"""

from __future__ import annotations

from collections.abc import Sequence

LENT_SHARE = 2
"""One part in so many of what is free is lent."""


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
    >>> lend(40, [0, 0]), lend(40, [30, 0]), lend(1, [5, 5]), lend(0, [5, 5])
    ([10, 10], [49, 1], [0, 0], [0, 0])
    """
    n_lent = n_free // LENT_SHARE
    if n_lent <= 0:
        return [0] * len(opens)
    parts = sum(opens) + len(opens)
    extras = [n_lent * (n_open + 1) // parts for n_open in opens]
    n_left = n_lent - sum(extras)
    for k in sorted(range(len(opens)), key=extras.__getitem__)[:n_left]:  # who has least, first
        extras[k] += 1
    return [n_open + extra if extra else 0 for n_open, extra in zip(opens, extras, strict=True)]
