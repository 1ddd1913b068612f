"""Durations as counts in logarithmic bins, and quantiles of them.

*Rule of this file*: bins and quantiles. Whose durations they are is not known here.

*Theory*: a bin is an eighth of an octave wide (9.05 %), so a quantile that is
interpolated inside its bin is wrong by less than half of that, 4.4 %, wherever
in 100 us .. 28 min the durations lie; counts add and subtract, so windows slide
exactly. With n calls the p-quantile strays between the p - e and p + e
quantiles of the same distribution, e = sqrt(p (1 - p) / n): its standard error
needs no density and holds for two-humped durations too, which those of
services are.

    se(p, n) = max(Q(p + e) - Q(p), (Q(p + e) - Q(p - e)) / 2),   in ln seconds

The upper half counts in full because what is asked later is whether a quantile
has *risen*.

*Cost*: O(192) a quantile.
*Source*: order statistics, e.g. David & Nagaraja 2003, section 2.5. Ours: 192 bins.
*Considered and rejected*: 1.25 and 2 x IQR/1.35/sqrt(n) (the detection study's
form): right for lognormal durations, several times too small where a tenth of
the calls takes another road, which named innocents on recorded traces.
"""

from __future__ import annotations

import math

import numpy as np

from signals.kernel import part
from signals.state import Records

N_BINS = 192
"""24 octaves of eight bins."""

BINS_PER_OCTAVE = 8
"""Half a bin is 4.4 %."""

LOWEST_NS = 100_000.0
"""Bin 1 begins at 100 us; bin 0 holds what is shorter."""

LN_LOWEST = math.log(LOWEST_NS * 1e-9)
LN_BIN = math.log(2.0) / BINS_PER_OCTAVE


@part
def find_bin(duration_ns: float) -> int:
    """Return the bin of a duration; what is too short or too long is in the first or last."""
    if duration_ns < LOWEST_NS:
        return 0
    return min(1 + int(math.log2(duration_ns / LOWEST_NS) * BINS_PER_OCTAVE), N_BINS - 1)


@part
def find_quantile(counts: Records, n: float, p: float) -> float:
    """Return ln of the p-quantile of ``n`` counted durations, in ln seconds; n > 0."""
    rank = max(p * n, 1e-9)
    until = np.cumsum(counts)
    idx = min(int(np.searchsorted(until, rank)), N_BINS - 1)
    count = counts[idx]
    share = (rank - (until[idx] - count)) / count if count > 0 else 0.0
    return LN_LOWEST + (idx - 1 + share) * LN_BIN


@part
def find_error(counts: Records, n: float, p: float, sample: float) -> float:
    """Return the standard error of the p-quantile of ``sample`` durations drawn from these."""
    e = math.sqrt(p * (1.0 - p) / sample)
    high = find_quantile(counts, n, min(1.0, p + e))
    low = find_quantile(counts, n, max(0.0, p - e))
    return max(high - find_quantile(counts, n, p), 0.5 * (high - low))
