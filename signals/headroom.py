"""When demand will meet capacity: seconds to saturation, with an honest error.

*Rule of this file*: the trend of arrivals and where it crosses; capacity comes from
:mod:`signals.saturation`.

*Theory*: least squares through arrivals per second over spans of 8 s to 5 min (the longest in bins
of 10 s, for calls that come once a second). The longest span is used that none of the shorter
contradicts (Lepski's rule): a ramp that began lately is seen by the short ones alone, a slow one
only by the long. With mean m and slope b at the middle of the span, capacity c, and their variances
A = Var(m) + Var(c) and B = Var(b), the ramp is at capacity where

    (m - c + b t)^2 = z^2 (A + B t^2)

is solved: the two roots are the bounds of the time at which the line crosses (Fieller's interval,
z = 1.645: 90 %). Where the slope could be zero the later bound does not exist: 3,600 s, "not in
sight". Variances come from the residuals, and never from less than Poisson's. Organic arrivals
wander: the mean over a span says less of the next span than its noise alone, so variances are
doubled; and the interval covers that of the next shorter span too, for which span is right is
itself a guess.

While capacity is only proven (a lower bound), the crossing is of that bound: it cannot be later
bounded, and the reading is an "at the earliest".

*Regime*: linear ramps of a few times the span; no tides, no steps. *Cost*: 80 additions a second.
*Source*: E. C. Fieller, "Some problems in interval estimation", JRSS B 16, 1954; O. V. Lepski,
"On a problem of adaptive estimation in Gaussian white noise", 1991. *Considered and rejected*: a
Kalman filter with slope (one span in disguise, its process noise guessed).
"""

from __future__ import annotations

import math

import numpy as np

from signals.kernel import part
from signals.state import NOT_IN_SIGHT_S, SECOND, Records, put

N_FINE = 64
N_COARSE = 32
COARSE_S = 10
"""Rings: seconds, and bins of ten seconds."""

N_SPANS = 8
N_FINE_SPANS = 6
SPAN_BINS = (8, 12, 18, 27, 40, 60, 12, 30)
"""Bins of each span: 8 to 60 s by half as much again, then 120 and 300 s in tens."""

Z_INTERVAL = 1.645
"""90 %."""

Z_SLOPE = 2.5
"""A slope below this many standard errors is no ramp: four looks a second, hours on end."""

Z_DIFFER = 1.0
"""A shorter span contradicts a longer one beyond this."""

WANDER = 2.0
"""Variance of organic arrivals over that of the fit's residuals."""

READY_S = 8

TINY = 1e-12

HEADROOM_DTYPE = np.dtype(
    [
        ("open_arrivals", np.int64),
        ("open_coarse", np.int64),
        ("n_fine", np.int64),
        ("n_coarse", np.int64),
        ("fine", np.int64, (N_FINE,)),
        ("coarse", np.int64, (N_COARSE,)),
        ("mean", np.float64, (N_SPANS,)),
        ("slope", np.float64, (N_SPANS,)),
        ("mean_var", np.float64, (N_SPANS,)),
        ("slope_var", np.float64, (N_SPANS,)),
        ("middle_s", np.float64, (N_SPANS,)),
        ("is_fit", np.int64, (N_SPANS,)),
        ("span", np.int64),
        ("seconds", np.float64),
        ("earliest_s", np.float64),
        ("latest_s", np.float64),
        ("is_known", np.int64),
    ],
    align=True,
)
"""One upstream; 1 KB."""

READINGS = (
    ("seconds_to_saturation", "seconds"),
    ("saturation_earliest", "seconds"),
    ("saturation_latest", "seconds"),
    ("demand_trend", "hz_per_second"),
    ("demand_trend_error", "hz_per_second"),
)
"""Name and unit."""


def make_headroom() -> Records:
    """Allocate one upstream's record."""
    headroom: Records = np.zeros(1, HEADROOM_DTYPE)
    for name in ("seconds", "earliest_s", "latest_s"):
        headroom[name] = NOT_IN_SIGHT_S
    return headroom


@part
def get_count(headroom: Records, span: int, back: int) -> int:
    """Return the arrivals of a closed bin, ``back`` bins ago."""
    h = headroom[0]
    if span < N_FINE_SPANS:
        return int(h["fine"][(h["n_fine"] - 1 - back) % N_FINE])
    return int(h["coarse"][(h["n_coarse"] - 1 - back) % N_COARSE])


@part
def fit_span(headroom: Records, span: int) -> None:
    """Fit a line to one span; time runs in seconds from its middle."""
    h = headroom[0]
    n = SPAN_BINS[span]
    width_s = 1.0 if span < N_FINE_SPANS else float(COARSE_S)
    have = h["n_fine"] if span < N_FINE_SPANS else h["n_coarse"]
    h["is_fit"][span] = 1 if have >= n else 0
    if have < n:
        return
    middle = 0.5 * (n - 1)
    total = product = 0.0
    for back in range(n):
        rate = get_count(headroom, span, back) / width_s
        total += rate
        product += (middle - back) * width_s * rate
    mean = total / n
    spread = width_s * width_s * n * (n * n - 1.0) / 12.0
    slope = product / spread
    rest = 0.0
    for back in range(n):
        distance = get_count(headroom, span, back) / width_s - mean
        distance -= slope * (middle - back) * width_s
        rest += distance * distance
    variance = WANDER * max(rest / (n - 2), max(mean, 1.0 / (n * width_s)) / width_s)
    h["mean"][span] = mean
    h["slope"][span] = slope
    h["mean_var"][span] = variance / n
    h["slope_var"][span] = variance / spread
    open_s = 0.0 if span < N_FINE_SPANS else float(h["n_fine"] % COARSE_S)
    h["middle_s"][span] = (middle + 0.5) * width_s + open_s


@part
def is_contradicted(headroom: Records, long: int, short: int) -> bool:
    """Whether a shorter span's level or slope tells another story than a longer one's."""
    h = headroom[0]
    apart_s = h["middle_s"][long] - h["middle_s"][short]
    level = h["mean"][long] + h["slope"][long] * apart_s - h["mean"][short]
    slope = h["slope"][long] - h["slope"][short]
    level_var = h["mean_var"][short] + h["mean_var"][long] + apart_s**2 * h["slope_var"][long]
    slope_var = h["slope_var"][short] + h["slope_var"][long]
    limit = Z_DIFFER * Z_DIFFER
    return bool(level * level > limit * level_var or slope * slope > limit * slope_var)


@part
def choose_span(headroom: Records) -> int:
    """Return the longest span that no shorter one contradicts; -1 if there is none yet."""
    h = headroom[0]
    chosen = -1
    for span in range(N_SPANS):
        if h["is_fit"][span] == 0:
            continue
        for short in range(span):
            if h["is_fit"][short] == 1 and is_contradicted(headroom, span, short):
                return chosen
        chosen = span
    return chosen


@part
def clip_s(seconds: float) -> float:
    """Keep an instant within what is ever said."""
    return min(max(seconds, 0.0), NOT_IN_SIGHT_S)


@part
def bound_crossing(headroom: Records, span: int, capacity_hz: float, capacity_var: float) -> None:
    """Widen the interval to that of one span (Fieller's, or open above)."""
    h = headroom[0]
    slope = h["slope"][span]
    distance = h["mean"][span] - capacity_hz
    ago_s = h["middle_s"][span]
    slope_var = h["slope_var"][span]
    level_var = h["mean_var"][span] + capacity_var
    z2 = Z_INTERVAL * Z_INTERVAL
    square = slope * slope - z2 * slope_var
    inner = level_var * slope * slope + slope_var * distance**2 - z2 * level_var * slope_var
    root = Z_INTERVAL * math.sqrt(max(0.0, inner))
    earliest_s = latest_s = NOT_IN_SIGHT_S
    if abs(square) > TINY:
        first = (-distance * slope - root) / square
        second = (-distance * slope + root) / square
        if square > 0.0 and slope > 0.0:
            earliest_s, latest_s = first - ago_s, second - ago_s
        elif square < 0.0 and max(first, second) > 0.0:
            # The slope may be zero: only the upper edge crosses, at the root after the middle.
            earliest_s = max(first, second) - ago_s
    h["earliest_s"] = min(h["earliest_s"], clip_s(earliest_s))
    h["latest_s"] = max(h["latest_s"], clip_s(latest_s))


@part
def find_crossing(
    headroom: Records, span: int, capacity_hz: float, capacity_var: float, is_known: bool
) -> None:
    """Solve for the crossing and its bounds, seconds from now."""
    h = headroom[0]
    slope = h["slope"][span]
    distance = h["mean"][span] - capacity_hz
    ago_s = h["middle_s"][span]
    if distance + slope * ago_s >= 0.0:
        h["seconds"] = 0.0
    elif slope > Z_SLOPE * math.sqrt(h["slope_var"][span]):
        h["seconds"] = clip_s(-distance / slope - ago_s)
    h["latest_s"] = 0.0
    bound_crossing(headroom, span, capacity_hz, capacity_var)
    if span > 0 and h["is_fit"][span - 1] == 1:
        bound_crossing(headroom, span - 1, capacity_hz, capacity_var)
    h["earliest_s"] = min(h["earliest_s"], h["seconds"])
    h["latest_s"] = max(h["latest_s"], h["seconds"]) if is_known else NOT_IN_SIGHT_S


@part
def close_headroom(
    headroom: Records, bucket: int, capacity_hz: float, capacity_var: float, is_known: bool
) -> None:
    """Close a bucket; every hundredth renews the trend and the crossing."""
    if (bucket + 1) % SECOND != 0:
        return
    h = headroom[0]
    h["fine"][h["n_fine"] % N_FINE] = h["open_arrivals"]
    h["n_fine"] += 1
    h["open_coarse"] += h["open_arrivals"]
    h["open_arrivals"] = 0
    if h["n_fine"] % COARSE_S == 0:
        h["coarse"][h["n_coarse"] % N_COARSE] = h["open_coarse"]
        h["n_coarse"] += 1
        h["open_coarse"] = 0
    for span in range(N_SPANS):
        fit_span(headroom, span)
    h["span"] = choose_span(headroom)
    h["seconds"] = h["earliest_s"] = h["latest_s"] = NOT_IN_SIGHT_S
    h["is_known"] = 1 if is_known else 0
    if h["span"] >= 0 and capacity_hz > 0.0:
        find_crossing(headroom, h["span"], capacity_hz, capacity_var, is_known)


@part
def summarise_headroom(headroom: Records, out: Records) -> None:
    """Fill this detector's readings."""
    h = headroom[0]
    span = h["span"]
    has_span = h["n_fine"] >= READY_S and span >= 0
    n = h["n_fine"]
    put(out, 0, h["seconds"], n, has_span)
    put(out, 1, h["earliest_s"], n, has_span)
    put(out, 2, h["latest_s"], n, has_span and h["is_known"] == 1)
    put(out, 3, h["slope"][span] if has_span else 0.0, n, has_span)
    put(out, 4, math.sqrt(h["slope_var"][span]) if has_span else 0.0, n, has_span)
