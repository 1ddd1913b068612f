"""What is remembered of each service: its last minute by seconds, its past by tens of seconds.

*Rule of this file*: sums that slide. What they mean is :mod:`signals.propagation`'s.

*Theory*: own times are counted in the bins of :mod:`signals.logbins` twice: by
the second, for the windows of the last 5, 10, 20 and 60 s, and by sub-windows
of 10 s, for the past. A sub-window joins the past a minute after its end, so
past and present never share a call, and leaves it 25 minutes later; what was
abnormal never joins. All sums are integers: adding and taking away leaves
nothing behind.

Children per call and ln(inclusive time) are kept the same way, as sums.

*Cost*: O(1) a call; O(8 x 192) a second for a service that has calls; 200 KB a
service, touched when it has its first call.
*Source*: the project's detection study, section 7 (25 min; with 2 min innocents
are named where calls are few).
"""

from __future__ import annotations

import math

import numpy as np

from signals.kernel import part
from signals.logbins import N_BINS, find_bin, find_quantile
from signals.pages import make_table
from signals.reach import N_CELLS
from signals.state import Records

SECOND_NS = 1_000_000_000

WINDOWS_S = (5, 10, 20, 60)
"""Windows of the present. Faults show in the short ones first, in the long ones surely."""

N_WINDOWS = len(WINDOWS_S)

RING_S = 64
"""Seconds kept: the longest window, the open second, and spare; a power of two."""

SUB_S = 10
"""Length of a sub-window of the past."""

LAG_SUBS = 6
"""A sub-window joins the past this many later: the longest window."""

N_HISTORY = 150
"""25 min of sub-windows."""

RING_SUBS = 160
"""Sub-windows kept: the past, the lag, the open one, and spare."""

SUB_MIN = 3
"""Calls that make a sub-window's quantiles worth keeping."""

CALLS, CHILDREN, SQUARES, LN_TIME = 0, 1, 2, 3
N_SUMS = 4
"""Kept beside the bins: calls, children, squares of children, ln of inclusive seconds."""

SERVICE_DTYPE = np.dtype(
    [
        ("n_calls", np.int64),
        ("first_second", np.int64),
        # the present
        ("seconds", np.int32, (RING_S, N_BINS)),
        ("second_sums", np.float64, (RING_S, N_SUMS)),
        ("windows", np.int32, (N_WINDOWS, N_BINS)),
        ("window_n", np.int64, (N_WINDOWS,)),
        ("inclusive", np.int32, (LAG_SUBS + 1, N_BINS)),
        # the past
        ("subs", np.int32, (RING_SUBS, N_BINS)),
        ("sub_sums", np.float64, (RING_SUBS, N_SUMS)),
        ("sub_p50", np.float64, (RING_SUBS,)),
        ("sub_p90", np.float64, (RING_SUBS,)),
        ("sub_joined", np.int64, (RING_SUBS,)),
        ("history", np.int64, (N_BINS,)),
        ("history_n", np.int64),
        ("n_left_out", np.int64),  # abnormal sub-windows in a row
        # what the past says, renewed with every sub-window
        ("p50", np.float64),
        ("p90", np.float64),
        ("noise_p50", np.float64),
        ("noise_p90", np.float64),
        ("n_subs", np.int64),
        ("children", np.float64),
        ("children_noise", np.float64),
        ("children_variance", np.float64),
        ("ln_time", np.float64),
        # what the last second said (propagation.py)
        ("z50", np.float64),
        ("z90", np.float64),
        ("early_z", np.float64),
        ("act_z", np.float64),
        ("cut_z", np.float64),
        # who passed (reach.py)
        ("flows", np.int32, (N_CELLS,)),
        ("tenants", np.int32, (N_CELLS,)),
        ("trees", np.int32, (N_CELLS,)),
    ],
    align=True,
)
"""One service, that is, one upstream."""


def make_services(n_services: int) -> Records:
    """Allocate the services' memory; pages are touched as services get calls."""
    return make_table(n_services, SERVICE_DTYPE)


@part
def count_call(
    services: Records, upstream: int, t_ns: int, own_ns: int, inclusive_ns: int, n_children: int
) -> None:
    """Count one call that has ended, or whose caller has had enough of it."""
    s = services[upstream]
    second = t_ns // SECOND_NS
    sub = second // SUB_S
    if s["n_calls"] == 0:
        s["first_second"] = second
    s["n_calls"] += 1
    idx = find_bin(float(own_ns))
    s["seconds"][second % RING_S, idx] += 1
    s["subs"][sub % RING_SUBS, idx] += 1
    s["inclusive"][sub % (LAG_SUBS + 1), find_bin(float(inclusive_ns))] += 1
    ln_time = math.log(max(float(inclusive_ns), 1.0) * 1e-9)
    for sums in (s["second_sums"][second % RING_S], s["sub_sums"][sub % RING_SUBS]):
        sums[CALLS] += 1.0
        sums[CHILDREN] += n_children
        sums[SQUARES] += n_children * n_children
        sums[LN_TIME] += ln_time


@part
def slide_windows(services: Records, upstream: int, second: int) -> None:
    """Take the second that has ended into the windows, and let the oldest go."""
    s = services[upstream]
    for window in range(N_WINDOWS):
        counts = s["windows"][window]
        old = (second - WINDOWS_S[window]) % RING_S
        new = second % RING_S
        n_new = int(s["second_sums"][new, CALLS])
        n_old = int(s["second_sums"][old, CALLS])
        if n_new > 0:
            counts += s["seconds"][new]
        if n_old > 0:
            counts -= s["seconds"][old]
        s["window_n"][window] += n_new - n_old
    place = (second + 1) % RING_S
    if s["second_sums"][place, CALLS] > 0:
        s["seconds"][place][:] = 0
        s["second_sums"][place][:] = 0.0


@part
def close_sub(services: Records, upstream: int, sub: int) -> None:
    """Keep the quantiles of the sub-window that has ended, and clear the next one's place."""
    s = services[upstream]
    here = sub % RING_SUBS
    n = s["sub_sums"][here, CALLS]
    s["sub_joined"][here] = 0
    if n >= SUB_MIN:
        s["sub_p50"][here] = find_quantile(s["subs"][here], n, 0.5)
        s["sub_p90"][here] = find_quantile(s["subs"][here], n, 0.9)
    after = (sub + 1) % RING_SUBS
    s["sub_joined"][after] = 0
    s["subs"][after][:] = 0
    s["inclusive"][(sub + 1) % (LAG_SUBS + 1)][:] = 0
    s["sub_sums"][after][:] = 0.0


@part
def join_history(services: Records, upstream: int, sub: int) -> None:
    """Add a sub-window to the past."""
    s = services[upstream]
    here = sub % RING_SUBS
    s["sub_joined"][here] = 1
    if s["sub_sums"][here, CALLS] > 0:
        history = s["history"]
        history += s["subs"][here]
        s["history_n"] += int(s["sub_sums"][here, CALLS])


@part
def leave_history(services: Records, upstream: int, sub: int) -> None:
    """Take a sub-window out of the past, if it was in it."""
    s = services[upstream]
    here = sub % RING_SUBS
    if s["sub_joined"][here] == 0:
        return
    s["sub_joined"][here] = 0
    if s["sub_sums"][here, CALLS] > 0:
        history = s["history"]
        history -= s["subs"][here]
        s["history_n"] -= int(s["sub_sums"][here, CALLS])
