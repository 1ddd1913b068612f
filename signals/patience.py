"""Who is still waiting, for how long yet, and which of them will not be served in time.

*Rule of this file*: callers that wait for the first byte, and the service's pace.

*Theory*: a caller that gives up is a failure made by waiting. Patience T is the
sojourn of those that have left, or what their headers say. The pace mu is the rate
of first bytes (of work for callers that have left too: the service does it all the
same), averaged over

    tau = max(0.3 s, 8 / mu_30s):

eight answers are the least that says anything. First come, first served, the
request at place p of the line has its first byte after p / mu; work that
nobody waits for stands before all. So a caller of age a will leave, T - a from
now, when

    p / mu > T - a + 0.1 s.

Counting first bytes, not ends, keeps streams out of it: a call that streams
for a minute has been served.

*When is T believed?* Single callers cancel at any time. A limit that all share
has nobody who outlasts it: trust is the decayed share (of the last ten or so) of
callers that left near T among those who left or were served later than 1.1 T; at
0.5 or more T is used. One that was served late undoes one lone cancellation.

*Regime*: one patience; with several none is believed, and only headers help. T to
12.8 s. *Cost*: O(1) an event; a forecast looks once at each bin of age below T.
*Source*: the project's detection study, section 4; trust is new here: the study had
one patience and nobody who cancels.
"""

from __future__ import annotations

import numpy as np

from signals.backoff import BIN_NS, BIN_S, N_AGES, Record
from signals.families import N_ATTEMPTS
from signals.kernel import part
from signals.state import Records

PACE_S = 0.3
"""Shortest memory of the pace: a stall shows within a few ticks."""

PACE_ANSWERS = 8.0
"""Answers behind a pace."""

SLOW_PACE_S = 30.0
"""Memory that chooses the other's length."""

PROOF_S = 2.0
"""A pace kept up for so long proves capacity: a lower bound where no better is known."""

NOTHING = 1e-9
"""A decayed rate below this is zero."""

MARGIN_S = 0.1
"""Expected waits are uncertain by this much."""

PATIENCE_GAIN = 0.1
"""Of the decayed mean of leavers' sojourns, and of trust."""

TRUST_MIN = 0.5

OUTLAST_RATIO = 1.1
"""Served later than this times T: was more patient than T."""

HEADER_GAIN = 0.02
"""Of the share of arrivals that state their patience: of the last fifty."""

PATIENCE_DTYPE = np.dtype(
    [
        # callers without a first byte, by attempt and bin of arrival; the rest came before
        ("waiting", np.int64, (N_ATTEMPTS, N_AGES)),
        ("n_waiting", np.int64),
        ("n_orphans", np.int64),
        ("open_answers", np.int64),
        ("n_answers", np.int64),
        ("n_bins", np.int64),
        ("pace_hz", np.float64),
        ("slow_pace_hz", np.float64),
        ("sustained_hz", np.float64),
        ("proven_hz", np.float64),
        ("learned_s", np.float64),
        ("trust", np.float64),
        ("n_leavers", np.int64),
        ("header_s", np.float64),
        ("header_share", np.float64),
        ("n_arrivals", np.int64),
    ],
    align=True,
)
"""Of one upstream; 10 KB. All zero is the right start. Functions here take one such record."""


@part
def add_waiting(p: Record, t_ns: int, attempt: int, patience_ns: int) -> None:
    """Take in a caller that now waits."""
    bin_idx = t_ns // BIN_NS
    p["waiting"][min(attempt, N_ATTEMPTS - 1), bin_idx % N_AGES] += 1
    p["n_waiting"] += 1
    p["n_arrivals"] += 1
    gain = max(HEADER_GAIN, 1.0 / p["n_arrivals"])
    if patience_ns > 0:
        if p["header_s"] == 0.0:
            p["header_s"] = patience_ns * 1e-9
        p["header_s"] += PATIENCE_GAIN * (patience_ns * 1e-9 - p["header_s"])
        p["header_share"] += gain * (1.0 - p["header_share"])
    else:
        p["header_share"] -= gain * p["header_share"]


@part
def remove_waiting(p: Record, t_ns: int, arrived_ns: int, attempt: int) -> None:
    """Let a caller that waited go; one from before the ring is only counted."""
    bin_idx = arrived_ns // BIN_NS
    q = min(attempt, N_ATTEMPTS - 1)
    if p["n_waiting"] > 0:
        p["n_waiting"] -= 1
    if t_ns // BIN_NS - bin_idx < N_AGES and p["waiting"][q, bin_idx % N_AGES] > 0:
        p["waiting"][q, bin_idx % N_AGES] -= 1


@part
def count_served(p: Record, t_ns: int, arrived_ns: int, attempt: int, has_left: bool) -> None:
    """Count a first byte: of a caller that waits, or of work that nobody waits for."""
    p["open_answers"] += 1
    p["n_answers"] += 1
    if has_left:
        if p["n_orphans"] > 0:
            p["n_orphans"] -= 1
        return
    remove_waiting(p, t_ns, arrived_ns, attempt)
    if p["n_leavers"] > 0 and (t_ns - arrived_ns) * 1e-9 > OUTLAST_RATIO * p["learned_s"]:
        p["trust"] -= PATIENCE_GAIN * p["trust"]


@part
def count_leaver(p: Record, t_ns: int, arrived_ns: int, attempt: int) -> None:
    """Count a caller that gave up before its first byte; its work goes on as an orphan."""
    remove_waiting(p, t_ns, arrived_ns, attempt)
    p["n_orphans"] += 1
    p["n_leavers"] += 1
    sojourn_s = (t_ns - arrived_ns) * 1e-9
    if p["trust"] < TRUST_MIN:
        p["learned_s"] = sojourn_s
        p["trust"] = TRUST_MIN
    else:
        p["learned_s"] += PATIENCE_GAIN * (sojourn_s - p["learned_s"])
        p["trust"] += PATIENCE_GAIN * (1.0 - p["trust"])


@part
def drop_orphan(p: Record) -> None:
    """Forget work that ended without a first byte and that nobody waited for."""
    if p["n_orphans"] > 0:
        p["n_orphans"] -= 1


@part
def close_pace(p: Record, bin_idx: int) -> None:
    """Fold a bin's answers into the pace and let those who came before the ring go from it."""
    rate_hz = p["open_answers"] / BIN_S
    p["open_answers"] = 0
    p["n_bins"] += 1
    slow_gain = max(BIN_S / SLOW_PACE_S, 1.0 / p["n_bins"])
    p["slow_pace_hz"] += slow_gain * (rate_hz - p["slow_pace_hz"])
    memory_s = SLOW_PACE_S
    if p["slow_pace_hz"] * SLOW_PACE_S > PACE_ANSWERS:
        memory_s = max(PACE_S, PACE_ANSWERS / p["slow_pace_hz"])
    p["pace_hz"] += max(BIN_S / memory_s, 1.0 / p["n_bins"]) * (rate_hz - p["pace_hz"])
    p["sustained_hz"] += BIN_S / PROOF_S * (rate_hz - p["sustained_hz"])
    p["proven_hz"] = max(p["proven_hz"], p["sustained_hz"])
    p["pace_hz"] = p["pace_hz"] if p["pace_hz"] > NOTHING else 0.0
    p["slow_pace_hz"] = p["slow_pace_hz"] if p["slow_pace_hz"] > NOTHING else 0.0
    p["sustained_hz"] = p["sustained_hz"] if p["sustained_hz"] > NOTHING else 0.0
    for q in range(N_ATTEMPTS):
        p["waiting"][q, (bin_idx + 1) % N_AGES] = 0


@part
def compute_patience_s(p: Record) -> float:
    """Return the patience to reckon with, 0 if unknown or too long to matter here."""
    patience_s = 0.0
    if p["header_share"] >= 0.5:
        patience_s = p["header_s"]
    elif p["n_leavers"] > 0 and p["trust"] >= TRUST_MIN:
        patience_s = p["learned_s"]
    return float(patience_s) if BIN_S < patience_s < (N_AGES - 2) * BIN_S else 0.0


@part
def compute_wait_s(p: Record, n_ahead: float) -> float:
    """Return the expected wait behind so many at the present pace; an hour at most."""
    if p["n_answers"] < PACE_ANSWERS:
        return 0.0
    return float(min(3_600.0, n_ahead / max(p["pace_hz"], 1e-3)))


@part
def plan_leaving(p: Record, bin_idx: int, patience_s: float, leaving: Records) -> float:
    """Add to ``leaving`` those of the line that will not be served in time; return how many.

    Parameters
    ----------
    bin_idx : int
        The bin just closed.
    leaving : float64 array, shape (N_ATTEMPTS, horizon)
        Callers expected to leave, by attempt and bin from now.
    """
    last = min(N_AGES - 2, int(patience_s / BIN_S))
    total = 0.0
    n_young = 0
    for age in range(last + 1):
        for q in range(N_ATTEMPTS):
            n_young += p["waiting"][q, (bin_idx - age) % N_AGES]
    ahead = float(p["n_orphans"] + max(0, p["n_waiting"] - n_young))
    for age in range(last, -1, -1):
        n = 0
        for q in range(N_ATTEMPTS):
            n += p["waiting"][q, (bin_idx - age) % N_AGES]
        if n == 0:
            continue
        left_s = max(0.0, patience_s - (age + 0.5) * BIN_S)
        served = p["pace_hz"] * (left_s + MARGIN_S) - ahead
        share = min(1.0, max(0.0, (n - served) / n))
        ahead += n
        h = int(left_s / BIN_S)
        if share > 0.0 and h < leaving.shape[1]:
            total += share * n
            for q in range(N_ATTEMPTS):
                leaving[q, h] += share * p["waiting"][q, (bin_idx - age) % N_AGES]
    return total
