"""How likely a repeated shape after a failure is a retry, learned from what follows success.

*Rule of this file*: histograms of lags per client family, and the verdict on
one lag. Which calls are compared is the business of :mod:`signals.retry`.

*Theory*: a caller that has failed sends the same shape again for one of two
reasons: its client retries (lag: the back-off), or the client has given up and
the program asks again (lag: as after a success). The second law can be
watched: lags between a success and the next call of the same shape are the
control. So the lags after failures are a mixture of two groups of which one is
known, and the chance that one lag belongs to the other is one minus the local
false discovery rate:

    p = 1 - (N g(d) + 0.02) / (f(d) + 1)

with f(d) the lags like d seen after failures of this family and attempt, g the
law of the control, N the number of fresh calls among those that f counts. N is
not known but bounded, and the least bound holds:

- failures x share of successes that are repeated (what would come back anyway);
- all of f;
- for every range of lags, what f has there (and two standard errors) over what
  g has there: fresh calls cannot be fewer in one range than their law demands.
  The range beyond the longest back-off settles it.

Attempts have their own f, since clients give up at a certain attempt: before
it all lags are retries, after it none, whatever their length. So back-off and
think time may overlap. Lags like d are those in its bin and both neighbours.

*Regime*: needs callers of a family to think alike. Counts are halved at
``FORGET`` so that a change is learned. With nothing learned p is 0.98: the
plain rule. Lags of hinted failures (Retry-After) neither teach nor are judged here.
*Cost*: O(1) an event; bounds (200 operations) are renewed after every
sixteenth part of new lags. 60 KB an upstream.
*Source*: detection study, section 2, has N = all of f; bounds as in Storey, "A
direct approach to false discovery rates", JRSS B 2002, section 2 (there: one tail),
two groups as in Efron, "Large-scale inference", 2010, chapter 5.
*Considered and rejected*: N = all of f (the study): where back-off and think
time overlap it turns most retries away.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from signals.families import N_ATTEMPTS, N_FAMILIES, SCHEDULES
from signals.kernel import part
from signals.state import Records

N_BINS = 64
"""Four an octave from 4 ms: up to 260 s."""

BINS_PER_OCTAVE = 4.0
SHORTEST_NS = 4_000_000.0
"""What is shorter than 4 ms is as good as at once."""

N_DEPTHS = 6
"""Failed attempts 0..4, and all later ones together."""

PRIOR = 0.02
"""The doubt that stays without any control: a retry is p = 0.98 then."""

ON_TOP_S = 0.01
"""What network and scheduling add to a delay, as a rule."""

RETRY_P = 0.5
"""Above it an arrival counts as a retry."""

FORGET = 4_096.0
"""Lags (or watched successes) at which counts are halved."""

CONTROL_MIN = 8.0
"""Control lags needed in a range before it bounds anything."""

ERRORS = 2.0
"""Standard errors above what a range shows; the least of some forty ranges is taken."""

FRESH_ERRORS = 1.0
"""Standard errors by which fresh calls may be more than expected: what is rare is uneven."""

REPEAT_MIN = 0.05
"""Repeated share of successes above which a family's lags are judged; below, shape settles it."""

ROW_MIN = 64.0
"""Lags that a family told by habit needs before its own histogram counts."""

RENEW = 16.0
"""Bounds are renewed when the lags have grown by one in this many."""

SURPRISE = 0.1
"""Chance that one return is a retry by no listed law, as if seen before any lag was."""

RAISED = 0.25
"""Share of callers that raise the default limit on retries."""


def expect_lags() -> npt.NDArray[np.float64]:
    """Return what one retry is worth before any was seen, by family, failed attempt and bin.

    The chance that a retry of the family's listed laws (of all laws where it has
    none) falls in a bin or its neighbours, and ``SURPRISE`` everywhere.
    """
    edges_s = SHORTEST_NS * 1e-9 * 2.0 ** (np.arange(N_BINS + 1) / BINS_PER_OCTAVE)
    edges_s[0], edges_s[-1] = 0.0, np.inf
    expected = np.zeros((N_FAMILIES, N_DEPTHS, N_BINS))
    for family in range(N_FAMILIES):
        laws = [law for law in SCHEDULES if law.family == family] or list(SCHEDULES)
        for depth in range(N_DEPTHS):
            for law in laws:
                low_s, high_s = law.intervals_s[min(depth, N_ATTEMPTS - 1)]
                below = np.clip((edges_s - low_s) / (high_s + ON_TOP_S - low_s), 0.0, 1.0)
                share = np.diff(below) * (1.0 if depth < law.n_retries else RAISED)
                expected[family, depth] += np.convolve(share, np.ones(3), "same") / len(laws)
    return expected * (1.0 - SURPRISE) + SURPRISE


EXPECTED = expect_lags()

CALIBRATION_DTYPE = np.dtype(
    [
        ("after_failure", np.float64, (N_FAMILIES, N_DEPTHS, N_BINS)),
        ("n_returned", np.float64, (N_FAMILIES, N_DEPTHS)),
        ("n_failed", np.float64, (N_FAMILIES, N_DEPTHS)),
        ("n_fresh", np.float64, (N_FAMILIES, N_DEPTHS)),
        ("n_renewed", np.float64, (N_FAMILIES, N_DEPTHS)),
        ("after_success", np.float64, (N_FAMILIES, N_BINS)),
        ("n_repeated", np.float64, (N_FAMILIES,)),
        ("n_watched", np.float64, (N_FAMILIES,)),
    ],
    align=True,
)
"""What is known of the lags of each family; 61 KB."""


def make_calibration() -> Records:
    """Allocate what one upstream's calibration remembers: nothing yet."""
    return np.zeros(1, CALIBRATION_DTYPE)


@part
def find_bin(lag_ns: int) -> int:
    """Return the bin of a lag: quarters of an octave from 4 ms, both ends open."""
    if lag_ns <= SHORTEST_NS:
        return 0
    return min(int(BINS_PER_OCTAVE * math.log2(lag_ns / SHORTEST_NS)), N_BINS - 1)


@part
def find_depth(attempt: int) -> int:
    """Return the row of a failed attempt."""
    return min(max(attempt, 0), N_DEPTHS - 1)


@part
def compute_repeat_share(calibration: Records, told: int) -> float:
    """Return the share of a family's successes that are followed by the same shape."""
    c = calibration[0]
    if c["n_watched"][told] <= 0.0:
        return 0.0
    return float(c["n_repeated"][told] / c["n_watched"][told])


@part
def is_in_use(calibration: Records, told: int) -> bool:
    """Return whether a family surely repeats shapes after success."""
    n_repeated = calibration[0]["n_repeated"][told]
    least = n_repeated - ERRORS * math.sqrt(n_repeated)
    return bool(least > REPEAT_MIN * calibration[0]["n_watched"][told])


@part
def bound_range(n_after_failure: float, n_control: float, n_repeated: float) -> float:
    """Return how many fresh calls there can be in all, from those in one range of lags."""
    share = (n_control - math.sqrt(n_control)) / n_repeated
    return (n_after_failure + ERRORS * math.sqrt(n_after_failure + 1.0) + 1.0) / share


@part
def bound_fresh(calibration: Records, told: int, family: int, depth: int) -> float:
    """Return the least bound on fresh calls among the lags after failures.

    Ranges: from the first bin up to each, from each to the last, and each octave.
    """
    c = calibration[0]
    seen, control = c["after_failure"][family, depth], c["after_success"][told]
    n_seen, n_control = c["n_returned"][family, depth], c["n_repeated"][told]
    fresh = min(n_seen, c["n_failed"][family, depth] * compute_repeat_share(calibration, told))
    low_seen = low_control = octave_seen = octave_control = 0.0
    for idx in range(N_BINS):
        low_seen += seen[idx]
        low_control += control[idx]
        octave_seen += seen[idx]
        octave_control += control[idx]
        if low_control >= CONTROL_MIN:
            fresh = min(fresh, bound_range(low_seen, low_control, n_control))
        if n_control - low_control >= CONTROL_MIN:
            high_seen = max(n_seen - low_seen, 0.0)
            fresh = min(fresh, bound_range(high_seen, n_control - low_control, n_control))
        if (idx + 1) % 4 == 0:
            if octave_control >= CONTROL_MIN:
                fresh = min(fresh, bound_range(octave_seen, octave_control, n_control))
            octave_seen = octave_control = 0.0
    return float(fresh)


@part
def judge_return(calibration: Records, told: int, family: int, attempt: int, lag_ns: int) -> float:
    """Return the chance that a repeated shape so long after its failure is a retry.

    Parameters
    ----------
    told, family : int
        The family that headers tell, which chooses the control, and the family that
        the caller uses as far as is known, which chooses the lags after failures.
    attempt : int
        The failed one.
    """
    c = calibration[0]
    if not is_in_use(calibration, told):
        return 1.0 - PRIOR
    depth, idx = find_depth(attempt), find_bin(lag_ns)
    first, stop = max(idx - 1, 0), min(idx + 2, N_BINS)
    seen = control = 0.0
    for near in range(first, stop):
        seen += c["after_failure"][family, depth, near]
        control += c["after_success"][told, near]
    fresh = (c["n_fresh"][family, depth] + 1.0) * control / c["n_repeated"][told]
    doubt = fresh + FRESH_ERRORS * math.sqrt(fresh) + PRIOR
    return float(max(0.0, 1.0 - doubt / (seen + EXPECTED[family, depth, idx])))


@part
def learn_return(calibration: Records, told: int, family: int, attempt: int, lag_ns: int) -> None:
    """Count the lag between a failure and the same shape's return."""
    c = calibration[0]
    depth = find_depth(attempt)
    seen = c["after_failure"][family, depth]
    seen[find_bin(lag_ns)] += 1.0
    c["n_returned"][family, depth] += 1.0
    if c["n_returned"][family, depth] >= FORGET:
        n_returned = 0.0
        for idx in range(N_BINS):
            seen[idx] *= 0.5
            n_returned += seen[idx]
        c["n_returned"][family, depth] = n_returned
        c["n_failed"][family, depth] *= 0.5
        c["n_renewed"][family, depth] = 0.0
    n_returned = c["n_returned"][family, depth]
    if n_returned >= c["n_renewed"][family, depth] * (1.0 + 1.0 / RENEW):
        c["n_renewed"][family, depth] = n_returned
        c["n_fresh"][family, depth] = bound_fresh(calibration, told, family, depth)


@part
def learn_failure(calibration: Records, family: int, attempt: int) -> None:
    """Count a failure that may be retried."""
    calibration[0]["n_failed"][family, find_depth(attempt)] += 1.0


@part
def learn_success(calibration: Records, told: int, lag_ns: int) -> None:
    """Count how a watched success ended: repeated after this lag, or not (negative)."""
    c = calibration[0]
    c["n_watched"][told] += 1.0
    if lag_ns >= 0:
        c["after_success"][told, find_bin(lag_ns)] += 1.0
        c["n_repeated"][told] += 1.0
    if c["n_watched"][told] >= FORGET:
        c["n_watched"][told] *= 0.5
        c["n_repeated"][told] = 0.0
        for idx in range(N_BINS):
            c["after_success"][told, idx] *= 0.5
            c["n_repeated"][told] += c["after_success"][told, idx]
