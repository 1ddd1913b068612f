"""Do arrivals come when failures say they will? Evidence of a storm without any identity.

*Rule of this file*: the matched filter of failures and back-off. Counts only: no
flow is looked at, so it says on anonymous traffic what the scans cannot.

*Theory*: a call that fails now comes back after its client's back-off, which is
uniform in a known interval [lo, hi). So a failure at t adds 1/(hi - lo) to the
expected return rate from t + lo on and takes it away at t + hi. A ring of
*changes of rate* holds all that is to come: two entries a failure and law, one
addition a bin, whatever the law; no convolution is ever computed. The changes are
whole numbers (units of 2**-24 call), so they cancel exactly and their order
does not matter. With f the expected returns of a 20 ms bin and n its arrivals,

    null:        n ~ m            m: mean of n over the last 10 s, or 2 s, or at the
                                  time when those failed who are due now: the highest
    alternative: n ~ m + f - f*   f*: mean of f over the same 10 s or 2 s
    L <- max(0, L + (n ln(alt/null) - (alt - null)) / max(F, F2))  while f > 1e-4
    L <- 0.98 L                                                    otherwise

F, F2: variance over mean of n at 20 ms and 0.5 s, winsorised. exp(L) is a
likelihood ratio: **alarm at L >= 12** where most traffic has no identity (with it
the scan of retries is exact). A hint of the fresh-flow scan becomes an alarm when L
agrees within a second.

*Whose fault*: a surge that saturates fails *because* demand has risen, and the rise
would pass for returns of those that failed in it. So each failure carries the
demand of its own moment along (a second ring), and the arrivals at its return are
measured against that.

*Novelty*: a service that always refuses a third of its calls sends f up whenever
demand goes up, so f predicts n although nobody returns. Only what is new
counts: a failure weighs 1 - 2 (failing share of the last minute) / (of the last
second), at least 0.

*Regime*: needs failures before the wave (a common alarm clock shows in the scans
only). After minutes of steady failure time tells nothing, and L fades. A client of
unknown family may follow any known law, each as likely. Intervals that end beyond
20 s are left out: too wide to see. Calls that Governor refused come back when
invited, which is no storm: they count only for clients that do not heed that.
*Cost*: O(1) a failure (unknown families: together at the bin's end, from its
middle); two additions and seven means a 20 ms bin; the logarithm only while returns are due.
*Source*: detection study, section 3, which compares m + f with m, m not counting f:
steady failures of 30 % without any return drove that to 69 false alarms in the 6 h
of the bursty-tenant trace. f - f* alone left 12, with novelty none.
*Falls short*: a tenfold surge within a second that is refused, nobody returning, is at
200 calls/s still taken for returns in some runs (``bench/detect/surges.py``).
*Considered and rejected*: a ring of failures convolved with a kernel of laws
(1,024 products a bin); clipping m at arrivals less f (makes the null too low,
which is what fires falsely).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from signals import families
from signals.decay import fade
from signals.families import N_ATTEMPTS, N_FAMILIES, SCHEDULES
from signals.kernel import part
from signals.state import BUCKET_NS, RING_MASK, Records, put
from signals.synchrony import LAG, MERGE_BUCKETS, is_clock_coarse, raise_alarm

BIN_BUCKETS = 2
BIN_NS = BIN_BUCKETS * BUCKET_NS
"""20 ms: the narrowest common back-off (Codex) is two bins wide."""

RING = 1_024
"""Bins ahead: 20.5 s; a power of two."""

HORIZON_NS = (RING - 2) * BIN_NS
"""A return later than this is left out."""

SLACK_NS = 20_000_000
"""A return takes this much longer at most than the back-off says: timers, the network."""

ONE = 1 << 24
"""One expected call: a million of them, times 10,000 arrivals a bin, fit an int64."""

ALARM_NATS = 12.0
"""Organic maximum 5 (random failures, outages and refusals after which nobody returns)."""

NATS_MAX = 40.0
"""L ends here, so that it is forgotten 1.2 s after the last return."""

EXPECTED_MIN = 1e-4
"""Expected returns a bin below which arrivals say nothing about them."""

SLOW_BINS = 500
"""10 s: time constant of the null's mean."""

FAST_BINS = 100
"""2 s: a null that has gone up already; keeps a lasting surge from passing for returns."""

NOVELTY_BINS = 3_000
"""60 s: failing share that counts as usual."""

NOVELTY = 2.0
"""A failing share must be more than this times the usual to say anything."""

WIDE_BINS = 25
"""0.5 s: the wider of two windows of dispersion."""

DISPERSION_BINS = 3_000
"""60 s: time constant of the dispersion."""

MEAN_FLOOR, SHARE_FLOOR = 1e-3, 0.05
"""Arrivals a bin where nothing is known; and the least share of the mean that is demand."""

WINSOR, DISPERSION_MEAN_FLOOR = 25.0, 0.2
"""As in :mod:`signals.synchrony`."""

DEMAND_BINS = 10
"""0.2 s: demand at the time of a failure."""

CALLS, DEMAND = 0, 1
"""The two rings: calls due; calls due times the demand at their failure."""

READY_BINS = 1_000
"""20 s of mean and dispersion before anything is said."""

HEEDLESS = (
    *(families.CODEX, families.GOOGLE, families.BOTO, families.TENACITY),
    *(families.ENVOY, families.OPENCODE),
)
"""Families that do not heed Retry-After (``governor/load/laws.py``)."""

DECAY_1S = math.exp(-BIN_NS / 1e9)
DECAY_60S = math.exp(-1.0 / NOVELTY_BINS)

MATCHED_DTYPE = np.dtype(
    [
        ("n_bins", np.int64),
        ("open_arrivals", np.int64),
        ("open_failures", np.int64),
        ("n_failures", np.int64),
        ("open_units", np.int64, (N_ATTEMPTS,)),
        ("slope", np.int64, (2, RING)),
        ("level", np.int64, (2,)),
        ("demand", np.float64),
        ("arrivals_1s", np.float64),
        ("failures_1s", np.float64),
        ("arrivals_60s", np.float64),
        ("failures_60s", np.float64),
        ("mean_slow", np.float64),
        ("mean_fast", np.float64),
        ("expected_slow", np.float64),
        ("expected_fast", np.float64),
        ("dispersion", np.float64),
        ("wide_dispersion", np.float64),
        ("wide_arrivals", np.float64),
        ("wide_mean", np.float64),
        ("nats", np.float64),
        ("alarm_bucket", np.int64),
        ("n_alarms", np.int64),
    ],
    align=True,
)
"""One upstream; 16 KB."""

READINGS = (
    ("matched", "nats"),
    ("matched_returns", "hz"),
    ("matched_alarm", "bool"),
    ("matched_alarms", "count"),
)


def make_matched() -> Records:
    """Allocate the filter of one upstream; dispersion starts at Poisson's 1."""
    matched: Records = np.zeros(1, MATCHED_DTYPE)
    matched["dispersion"] = 1.0
    matched["wide_dispersion"] = 1.0
    matched["alarm_bucket"] = -MERGE_BUCKETS - 1
    return matched


def list_intervals() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return all laws as (start, stop) in ns, and by family and attempt which rows apply."""
    rows: list[tuple[int, int]] = []
    bounds = np.zeros((N_FAMILIES, N_ATTEMPTS, 2), np.int64)
    for family in range(N_FAMILIES):
        own = [law for law in SCHEDULES if law.family == family] or list(SCHEDULES)
        for attempt in range(N_ATTEMPTS):
            start = len(rows)
            for law in own:
                low_s, high_s = law.intervals_s[attempt]
                rows.append((round(low_s * 1e9), round(high_s * 1e9) + SLACK_NS))
            bounds[family, attempt] = start, len(rows)
    return np.array(rows, np.int64), bounds


INTERVALS_NS, BOUNDS = list_intervals()

HEEDS: npt.NDArray[Any] = np.array([idx not in HEEDLESS for idx in range(N_FAMILIES)])


@part
def add_edge(matched: Records, ring: int, at_ns: int, rate: int, sign: int) -> None:
    """Change what is due from an instant on; within its bin pro rata."""
    slope = matched[0]["slope"][ring]
    idx = at_ns // BIN_NS
    late = int(rate * ((at_ns - idx * BIN_NS) / BIN_NS))
    slope[idx & (RING - 1)] += sign * (rate - late)
    slope[(idx + 1) & (RING - 1)] += sign * late


@part
def expect(matched: Records, start_ns: int, stop_ns: int, units: int) -> None:
    """Expect so many units of calls evenly in [start, stop), and the demand of now with them."""
    for ring in range(2):
        whole = units if ring == CALLS else units * matched[0]["demand"]
        rate = int(whole * (BIN_NS / (stop_ns - start_ns)))
        add_edge(matched, ring, start_ns, rate, 1)
        add_edge(matched, ring, stop_ns, rate, -1)


@part
def expect_by_law(matched: Records, t_ns: int, who: int, which: int, units: int) -> None:
    """Expect what failed at an instant by the laws of its family, each as likely as the others."""
    first, last = BOUNDS[who, which, 0], BOUNDS[who, which, 1]
    for idx in range(first, last):
        if INTERVALS_NS[idx, 1] <= HORIZON_NS:
            start_ns = t_ns + INTERVALS_NS[idx, 0]
            stop_ns = t_ns + INTERVALS_NS[idx, 1]
            expect(matched, start_ns, stop_ns, units // (last - first))


@part
def expect_unknown(matched: Records, t_ns: int) -> None:
    """Expect the open bin's failures of unknown family, all at once."""
    m = matched[0]
    for which in range(N_ATTEMPTS):
        if m["open_units"][which] > 0:
            expect_by_law(matched, t_ns, 0, which, m["open_units"][which])
            m["open_units"][which] = 0


@part
def compute_novelty(matched: Records) -> float:
    """Return how much of the latest failures is more than usual, in [0, 1]."""
    m = matched[0]
    arrivals = m["arrivals_1s"] + m["open_arrivals"]
    recent = min(1.0, (m["failures_1s"] + m["open_failures"]) / max(arrivals, 0.01))
    usual = m["failures_60s"] / max(m["arrivals_60s"], 1.0)
    return float(max(0.0, 1.0 - NOVELTY * usual / recent))


@part
def expect_return(
    matched: Records, t_ns: int, family: int, attempt: int, due_ns: int, is_refused: bool
) -> None:
    """Take a failure in: spread its return over the time in which it may come.

    Parameters
    ----------
    due_ns : int
        When its caller was asked to come back; 0 if it was not told.
    is_refused : bool
        Governor itself sent it away.
    """
    m = matched[0]
    who = family if 0 < family < N_FAMILIES else 0
    is_heeding = due_ns > 0 and HEEDS[who]
    if is_refused and is_heeding:
        return
    m["open_failures"] += 1
    m["n_failures"] += 1
    units = int(compute_novelty(matched) * ONE)
    if units == 0:
        return
    which = min(max(attempt, 0), N_ATTEMPTS - 1)
    if is_heeding:
        if due_ns - t_ns + SLACK_NS <= HORIZON_NS:
            expect(matched, max(due_ns, t_ns), max(due_ns, t_ns) + SLACK_NS, units)
    elif who == 0 or who == families.OTHER:
        m["open_units"][which] += units
    else:
        expect_by_law(matched, t_ns, who, which, units)


@part
def weigh(matched: Records, count: float, expected: float) -> None:
    """Let one bin's arrivals speak for or against returns."""
    m = matched[0]
    null, usual = m["mean_slow"], m["expected_slow"]
    if m["mean_fast"] > null:
        null, usual = m["mean_fast"], m["expected_fast"]
    source = m["level"][DEMAND] / m["level"][CALLS]
    if source > null:
        null, usual = source, m["expected_fast"]
    null = max(null, MEAN_FLOOR)
    alternative = max(null + expected - usual, SHARE_FLOOR * null + expected)
    gain = count * math.log(alternative / null) - (alternative - null)
    gain /= max(m["dispersion"], m["wide_dispersion"])
    m["nats"] = min(max(0.0, m["nats"] + gain), NATS_MAX)


@part
def learn(matched: Records, count: float, expected: float) -> None:
    """Teach the null: dispersions about the mean so far, then the means."""
    m = matched[0]
    mean = m["mean_slow"]
    floor = max(mean, DISPERSION_MEAN_FLOOR)
    f = m["dispersion"]
    square = min((count - mean) * (count - mean), WINSOR * f * floor)
    n_bins = min(m["n_bins"], DISPERSION_BINS)
    m["dispersion"] = max(1.0, f + (square / floor - f) / n_bins)
    m["wide_arrivals"] += count
    m["wide_mean"] += mean
    if m["n_bins"] % WIDE_BINS == 0:
        floor = max(m["wide_mean"], DISPERSION_MEAN_FLOOR)
        f = m["wide_dispersion"]
        off = m["wide_arrivals"] - m["wide_mean"]
        square = min(off * off, WINSOR * f * floor)
        m["wide_dispersion"] = max(1.0, f + (square / floor - f) * WIDE_BINS / n_bins)
        m["wide_arrivals"] = 0.0
        m["wide_mean"] = 0.0
    slow = 1.0 / min(m["n_bins"], SLOW_BINS)
    fast = 1.0 / min(m["n_bins"], FAST_BINS)
    m["mean_slow"] += slow * (count - m["mean_slow"])
    m["mean_fast"] += fast * (count - m["mean_fast"])
    m["expected_slow"] += slow * (expected - m["expected_slow"])
    m["expected_fast"] += fast * (expected - m["expected_fast"])


@part
def is_anonymous(bank: Records) -> bool:
    """Tell whether most of the last 2.56 s' arrivals have no flow."""
    s = bank[0]
    newest = s["bucket"] & RING_MASK
    oldest = (s["bucket"] - LAG) & RING_MASK
    seen = s["cum_arrivals"][newest] - s["cum_arrivals"][oldest]
    unidentified = s["cum_unidentified"][newest] - s["cum_unidentified"][oldest]
    return bool(2 * unidentified > seen)


@part
def close_matched(matched: Records, bank: Records, bucket: int) -> None:
    """Take the closing bucket in; at the end of a bin weigh it, alarm, and learn."""
    m = matched[0]
    m["open_arrivals"] += bank[0]["open_arrivals"]
    if bucket % BIN_BUCKETS != BIN_BUCKETS - 1:
        return
    expect_unknown(matched, (bucket // BIN_BUCKETS) * BIN_NS + BIN_NS // 2)
    idx = (bucket // BIN_BUCKETS) & (RING - 1)
    for ring in range(2):
        m["level"][ring] += m["slope"][ring, idx]
        m["slope"][ring, idx] = 0
    m["n_bins"] += 1
    count = float(m["open_arrivals"])
    expected = m["level"][CALLS] / ONE
    if expected > EXPECTED_MIN and m["n_bins"] > READY_BINS:
        weigh(matched, count, expected)
        if m["nats"] >= ALARM_NATS and is_anonymous(bank) and not is_clock_coarse(bank):
            if bucket - m["alarm_bucket"] > MERGE_BUCKETS:
                m["n_alarms"] += 1
            m["alarm_bucket"] = bucket
    else:
        m["nats"] = fade(m["nats"], 0.98, 0.0)
    learn(matched, count, expected)
    m["demand"] += (count - m["demand"]) / DEMAND_BINS
    m["arrivals_1s"] = fade(m["arrivals_1s"], DECAY_1S, count)
    m["failures_1s"] = fade(m["failures_1s"], DECAY_1S, m["open_failures"])
    m["arrivals_60s"] = fade(m["arrivals_60s"], DECAY_60S, count)
    m["failures_60s"] = fade(m["failures_60s"], DECAY_60S, m["open_failures"])
    m["open_arrivals"] = 0
    m["open_failures"] = 0


@part
def settle_hint(matched: Records, bank: Records, bucket: int) -> None:
    """Make an alarm of a hint on unidentified traffic that the filter agrees with."""
    is_hinted = bucket - bank[0]["hint_bucket"] <= MERGE_BUCKETS
    if is_hinted and bucket - matched[0]["alarm_bucket"] <= MERGE_BUCKETS:
        raise_alarm(bank, bucket, True)


@part
def summarise_matched(matched: Records, bank: Records, is_coarse: bool, out: Records) -> None:
    """Evidence in nats, returns expected a second, and alarms."""
    m = matched[0]
    n = m["n_failures"]
    is_ready = m["n_bins"] > READY_BINS and not is_coarse
    is_alarm = bank[0]["bucket"] - m["alarm_bucket"] <= MERGE_BUCKETS
    put(out, 0, m["nats"], n, is_ready)
    put(out, 1, m["level"][CALLS] / ONE * (1e9 / BIN_NS), n, is_ready)
    put(out, 2, 1.0 if is_alarm else 0.0, n, is_ready)
    put(out, 3, m["n_alarms"], n, is_ready)
