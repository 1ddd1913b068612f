"""Whether failures multiply: the chance that one comes back, and how many each call makes.

*Rule of this file*: the fates of failures, in the record of :mod:`signals.shape`, which closes its
bins and tells them with its verdict.

*Theory*: R = phi p. phi: failures over arrivals of the last 2 s.
p: chance that a failure comes back within 60 s, by the life table over twelve
classes of age: those still away count as at risk until the age they have
reached (half-way in their class). So a failure not yet repeated is neither
'returned' nor 'lost'; one that a fresh call answers is lost, since its program
would have asked anyway. At R >= 1 every call makes another: no recovery by itself.

*Regime*: p needs identity (failures of unknown flows are not followed). A flow's
parallel failures of one shape share the latest one's age.
*Cost*: O(1) an event; 1,200 additions a tick with failures out.
*Source*: life table: Cutler & Ederer 1958.
*Considered and rejected*: Hawkes branching from dispersion (organic 0.80, storms
0.65-0.94); the plain share of failures that have returned (0 at the moment it
matters).
"""

from __future__ import annotations

from signals.kernel import part
from signals.state import BUCKET_NS, Records

BIN_BUCKETS = 5
BIN_NS = BIN_BUCKETS * BUCKET_NS
"""50 ms."""

AGES = 1_200
"""Bins in 60 s, after which a failure is taken for lost (``signals.retry.MEMORY_NS``)."""

N_CLASSES = 12
"""Classes of age: below 50 ms, 50-100, 100-200, ... 25.6-51.2, 51.2-60 s."""

FATES_MAX = 4_096.0
"""After this many all weigh half: a storm is remembered, an old client is not."""

FATES_MIN = 5
"""Fates known before R is believed."""


@part
def classify_age(n_bins: int) -> int:
    """Return the class of an age: 0 below one bin, then one a doubling."""
    found = 0
    while n_bins > 0 and found < N_CLASSES - 1:
        n_bins >>= 1
        found += 1
    return found


@part
def count_away(shape: Records, t_ns: int) -> None:
    """Count a failure that was told to a caller with a name: it may come back."""
    s = shape[0]
    s["away"][(t_ns // BIN_NS) % AGES] += 1
    s["n_away"] += 1


@part
def count_return(shape: Records, t_ns: int, failed_ns: int, is_retry: bool) -> None:
    """Count the return of a call that failed; a fresh one tells that its client gave up: lost."""
    s = shape[0]
    age = t_ns // BIN_NS - failed_ns // BIN_NS
    idx = (failed_ns // BIN_NS) % AGES
    if age < AGES and s["away"][idx] > 0:
        s["away"][idx] -= 1
        s["n_away"] -= 1
        if is_retry:
            s["returned"][classify_age(age)] += 1.0
        else:
            s["lost"] += 1.0


@part
def compute_return_share(shape: Records, now: int) -> float:
    """Return the chance that a failure comes back, by the life table; O(1,200) if any is out.

    Parameters
    ----------
    now : int
        The open bin.
    """
    s = shape[0]
    away = s["still_away"]
    away[:] = 0.0
    if s["n_away"] > 0:
        for idx in range(AGES):
            if s["away"][idx] > 0:
                away[classify_age((now - idx) % AGES)] += s["away"][idx]
    at_risk = s["lost"] + s["n_away"] + s["returned"].sum()
    still = 1.0
    for idx in range(N_CLASSES):
        exposed = at_risk - 0.5 * away[idx]
        if exposed > 0.0:
            still *= 1.0 - min(1.0, s["returned"][idx] / exposed)
        at_risk -= s["returned"][idx] + away[idx]
    return 1.0 - still


@part
def give_up(shape: Records, idx: int) -> None:
    """Give up failures 60 s old in the bin that ends, and forget old fates."""
    s = shape[0]
    gone = (idx + 1) % AGES
    s["lost"] += s["away"][gone]
    s["n_away"] -= s["away"][gone]
    s["away"][gone] = 0
    if s["lost"] + s["returned"].sum() > FATES_MAX:
        s["lost"] *= 0.5
        for k in range(N_CLASSES):
            s["returned"][k] *= 0.5
