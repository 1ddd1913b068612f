"""How far to trust the forecast: what it said half a second, a second, two and four ago.

*Rule of this file*: the comparison of forecast and fact, while something was out.

*Theory*: each half second the forecast of four windows, 0-0.5, 0.5-1, 1-2 and 2-4 s
ahead, is put by, and beside it what persistence would say (the last second goes
on). When a window has passed, absolute errors and the fact are added to decayed
sums (time constant 50 s of forecasting);

    error = sum |forecast - fact| / sum fact.

An error above persistence's says: look at the last second instead.

*Cost*: twice a second, 80 additions. *Source*: ours.
"""

from __future__ import annotations

import numpy as np

from signals.backoff import Record
from signals.kernel import part
from signals.state import Records
from signals.storm import N_RECENT

WINDOWS = ((0, 10), (10, 20), (20, 40), (40, 80))
"""Bins from now: start and stop."""

N_WINDOWS = len(WINDOWS)

PACE = 10
"""Bins between two forecasts that are put by."""

N_KEPT = 16
"""Forecasts put by; a power of two above 80 / PACE."""

DECAY = 0.99
"""Per scored half second."""

SECOND = 20
"""Bins of persistence."""

SCORE_DTYPE = np.dtype(
    [
        ("at_bin", np.int64, (N_KEPT,)),
        ("predicted", np.float64, (N_KEPT, N_WINDOWS)),
        ("rate", np.float64, (N_KEPT,)),
        ("error", np.float64, (N_WINDOWS,)),
        ("persistence", np.float64, (N_WINDOWS,)),
        ("actual", np.float64, (N_WINDOWS,)),
        ("n", np.int64),
    ],
    align=True,
)
"""Of one upstream. All zero is the right start."""


@part
def score_window(s: Record, bin_idx: int, totals: Records, window: int) -> bool:
    """Compare the window that ends with this bin with what was said of it, if anything was."""
    start, stop = WINDOWS[window]
    kept = (bin_idx - stop) // PACE % N_KEPT
    if s["at_bin"][kept] != bin_idx - stop:
        return False
    width = stop - start
    actual = totals[bin_idx % N_RECENT] - totals[(bin_idx - width) % N_RECENT]
    error = abs(s["predicted"][kept, window] - actual)
    baseline = abs(s["rate"][kept] * width - actual)
    s["error"][window] = s["error"][window] * DECAY + error
    s["persistence"][window] = s["persistence"][window] * DECAY + baseline
    s["actual"][window] = s["actual"][window] * DECAY + actual
    return True


@part
def close_score(s: Record, bin_idx: int, totals: Records, curve: Records, is_active: bool) -> None:
    """End a half second: score what has come due, put the present forecast by."""
    has_scored = False
    for window in range(N_WINDOWS):
        if score_window(s, bin_idx, totals, window):
            has_scored = True
    if has_scored:
        s["n"] += 1
    if not is_active:
        return
    kept = bin_idx // PACE % N_KEPT
    s["at_bin"][kept] = bin_idx
    last = totals[bin_idx % N_RECENT] - totals[(bin_idx - SECOND) % N_RECENT]
    s["rate"][kept] = last / SECOND
    for window in range(N_WINDOWS):
        start, stop = WINDOWS[window]
        total = 0.0
        for h in range(start, stop):
            total += curve[h]
        s["predicted"][kept, window] = total


@part
def compute_error(errors: Records, actual: Records) -> float:
    """Return the error over all horizons; 0 while nothing has come."""
    fact = np.sum(actual)
    return min(100.0, float(np.sum(errors) / fact)) if fact >= 1.0 else 0.0
