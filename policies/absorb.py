"""Absorb: a refusal with a short ``Retry-After`` is waited out instead of being handed on.

*Rule of this file*: whether one refusal may be waited out, and how long at most.

*Theory*: a refusal says that the request was not processed, so sending it again
repeats nothing, whatever its method. The caller sees a slower answer in place
of a failure, provided that it has the patience: the wait and an answer after it
must fit into what is left of it.

*Bound on the added delay*: ``absorb`` of the route for each try, ``N_TRIES_MAX``
tries, and the caller's patience over all of them.
"""

from __future__ import annotations

from typing import Final

N_TRIES_MAX: Final = 3
"""Refusals of one request that are waited out; a fourth is the upstream's last word."""


def longest_wait_ns(
    bound_ns: int, n_absorbed: int, left_ns: int, response_ns: int, asked_ns: int
) -> int:
    """Return how long a refused request may wait for its next try; 0 if it is handed on.

    Parameters
    ----------
    bound_ns : int
        The route's ``absorb``; 0 where it is off.
    n_absorbed : int
        Refusals of this request that were waited out before.
    left_ns : int
        What is left of the caller's patience.
    response_ns : int
        What an answer takes.
    asked_ns : int
        For how long the upstream asked to stay away; 0 if it did not.

    Examples
    --------
    >>> longest_wait_ns(2_000, 0, 10_000, 100, 500), longest_wait_ns(2_000, 0, 1_500, 100, 500)
    (2000, 1400)
    >>> longest_wait_ns(2_000, 3, 10_000, 100, 500), longest_wait_ns(2_000, 0, 500, 100, 500)
    (0, 0)
    """
    if n_absorbed >= N_TRIES_MAX:
        return 0
    longest_ns = min(bound_ns, left_ns - response_ns)
    return longest_ns if longest_ns > 0 and asked_ns <= longest_ns else 0
