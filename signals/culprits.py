"""By whom: whose failures the expected wave is made of.

*Rule of this file*: plain numpy over the flows' rows, asked for when somebody wants to know
(an alarm, the state page), never on the request's path and never per tick.

*Theory*: a failure that its caller has not repeated yet is a call on its way.
Sums of those by flow, by the flow's tenant and by its latest tree name who the
storm comes from. A failure counts for 60 s (no client waits longer), and to the
instant it was invited for, if that is later.

*Cost*: 50 us for 4,096 rows. *Source*: ours; the project's detection study, section 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from signals.retry import MEMORY_NS
from signals.state import Records


class Culprit(NamedTuple):
    """One of those behind a storm."""

    idx: int
    """Flow, tenant or tree; 0 stands for all that are unknown."""
    n_pending: int
    """Failures that it has not repeated yet."""
    share: float
    """Of all pending failures."""


class Culprits(NamedTuple):
    """The heaviest of each kind, heaviest first."""

    n_pending: int
    n_flows: int
    """Flows with a pending failure."""
    flows: tuple[Culprit, ...]
    tenants: tuple[Culprit, ...]
    trees: tuple[Culprit, ...]


def rank(keys: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], n: int) -> tuple[Culprit, ...]:
    """Return the heaviest keys; of equals the smaller key first."""
    found, place = np.unique(keys, return_inverse=True)
    sums = np.bincount(place, weights=counts, minlength=len(found)).astype(np.int64)
    total = int(sums.sum())
    order = np.lexsort((found, -sums))[:n]
    return tuple(Culprit(int(found[k]), int(sums[k]), float(sums[k]) / total) for k in order)


def find_culprits(flows: Records, upstream: int, now_ns: int, n: int = 5) -> Culprits:
    """Return who one upstream's pending failures belong to.

    Parameters
    ----------
    flows : pool of rows
        ``bank.state.flows``, or as much of it as is in use.
    now_ns : int
        Inner time: ``bank.state.process[0]["now_ns"]``.
    n : int
        How many of each kind at most.

    Examples
    --------
    >>> from signals.state import make_flows
    >>> find_culprits(make_flows(4), 0, 0)
    Culprits(n_pending=0, n_flows=0, flows=(), tenants=(), trees=())
    """
    here = np.flatnonzero(flows["upstream"] == upstream)
    until_ns = np.maximum(flows["failed_ns"][here] + MEMORY_NS, flows["failed_due_ns"][here])
    counts = np.where(until_ns > now_ns, flows["n_failed"][here], 0).sum(axis=1, dtype=np.int64)
    is_guilty = counts > 0
    guilty, mine = here[is_guilty], counts[is_guilty]
    if len(guilty) == 0:
        return Culprits(0, 0, (), (), ())
    return Culprits(
        int(mine.sum()),
        len(guilty),
        rank(flows["flow"][guilty].astype(np.int64), mine, n),
        rank(flows["tenant"][guilty].astype(np.int64), mine, n),
        rank(flows["tree"][guilty].astype(np.int64), mine, n),
    )
