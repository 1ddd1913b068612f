"""The storm alarm: when will callers that come back cross capacity, and by how much.

*Rule of this file*: from a curve and a capacity to an alarm that does not flap.
Who is behind it: :mod:`signals.culprits`.

*Theory*: a storm is told when, of the unfaded curve, some window of 0.5 s within
4 s holds more than

    C/2 + sqrt(C/2)

arrivals (C calls a second can be served; the root is chance's share), at least a
fifth of them and five of them returns (else it is demand, whatever else it is), and
five callers or more are out or expected to fail: fewer cannot hurt. The instant of crossing is
the first such window's start; 0 if the last half second was one already.

The alarm rises at once, for lead is precious, and falls when for 0.5 s neither the
curve nor the last half second has passed C/2: the two levels keep it from
flapping. Alarms less than 1 s apart are one.

*Regime*: a capacity that is only a lower bound makes the alarm early, never late.
*Cost*: 80 additions a tick, only while something is out.
*Source*: the project's detection study, section 4.
"""

from __future__ import annotations

import math

import numpy as np

from signals.backoff import BIN_S, Record
from signals.kernel import part
from signals.state import NOT_IN_SIGHT_S, Records

WINDOW = 10
"""Bins of 0.5 s: shorter windows cross by chance, longer ones hide a wave."""

AWAITED_MIN = 5.0
"""Callers out or expected to fail."""

RETURN_SHARE = 0.2
"""Of a storm's window, as of a cascade (signals.retry)."""

CALM_BINS = 10
"""Below capacity for so long: over."""

MERGE_BINS = 20
"""Alarms closer than this are one."""

N_RECENT = 128
"""Bins of past arrivals kept: more than the longest horizon."""

STORM_DTYPE = np.dtype(
    [
        # arrivals so far, at the end of each bin
        ("totals", np.float64, (N_RECENT,)),
        ("capacity_hz", np.float64),
        ("is_on", np.int64),
        ("n_alarms", np.int64),
        ("calm_bin", np.int64),
        ("off_bin", np.int64),
        ("crossing_s", np.float64),
        ("peak_hz", np.float64),
        ("excess_hz", np.float64),
        ("n_returns", np.float64),
    ],
    align=True,
)
"""Of one upstream. All zero is the right start."""


@part
def count_recent(s: Record, bin_idx: int, n_arrivals: int) -> None:
    """Add a bin's arrivals to the running total."""
    totals = s["totals"]
    totals[bin_idx % N_RECENT] = totals[(bin_idx - 1) % N_RECENT] + n_arrivals


@part
def scan_windows(curve: Records, returns: Records, threshold: float) -> tuple[int, float, float]:
    """Return the first window above the threshold (-1: none), and the fullest one's count.

    Only windows with their share of returns can cross. The third value is the
    fullest window of all, whoever is in it.
    """
    first = -1
    storm_peak, peak = 0.0, 0.0
    count, back = 0.0, 0.0
    for h in range(len(curve)):
        count += curve[h]
        back += returns[h]
        if h >= WINDOW:
            count -= curve[h - WINDOW]
            back -= returns[h - WINDOW]
        if h >= WINDOW - 1:
            peak = max(peak, count)
            if back >= max(RETURN_SHARE * count, AWAITED_MIN):
                storm_peak = max(storm_peak, count)
                if first < 0 and count > threshold:
                    first = h - WINDOW + 1
    return first, storm_peak, peak


@part
def judge_storm(
    s: Record,
    bin_idx: int,
    capacity_hz: float,
    curve: Records,
    returns: Records,
    n_awaited: float,
) -> None:
    """Raise, keep or end the alarm."""
    s["capacity_hz"] = capacity_hz
    served = capacity_hz * WINDOW * BIN_S
    threshold = served + math.sqrt(served)
    first, storm_peak, peak = scan_windows(curve, returns, threshold)
    recent = s["totals"][bin_idx % N_RECENT] - s["totals"][(bin_idx - WINDOW) % N_RECENT]
    s["peak_hz"] = peak / (WINDOW * BIN_S)
    s["n_returns"] = np.sum(returns)
    s["crossing_s"] = NOT_IN_SIGHT_S
    s["excess_hz"] = 0.0
    if capacity_hz <= 0.0:
        s["is_on"] = 0
        return
    is_coming = first >= 0 and n_awaited >= AWAITED_MIN
    if is_coming:
        s["crossing_s"] = 0.0 if recent > threshold else first * BIN_S
        s["excess_hz"] = max(0.0, storm_peak / (WINDOW * BIN_S) - capacity_hz)
        if s["is_on"] == 0:
            if s["n_alarms"] == 0 or bin_idx - s["off_bin"] > MERGE_BINS:
                s["n_alarms"] += 1
            s["is_on"] = 1
    if is_coming or storm_peak > served or recent > served:
        s["calm_bin"] = bin_idx
    elif s["is_on"] == 1 and bin_idx - s["calm_bin"] >= CALM_BINS:
        s["is_on"] = 0
        s["off_bin"] = bin_idx
