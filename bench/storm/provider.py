"""Provider: a token-bucket quota that answers 429 with one and the same Retry-After to all.

The second wave is what reaches the provider from the moment at which the refused
were told to come back until all of them are served: its peak is the most calls in
any second, its mean all of them over that time. What a proxy repeats on its own
counts like what callers repeat.
"""

from __future__ import annotations

import numpy as np

from bench.service.spec import ServiceSpec
from bench.storm.base import Behind, Must, Quantities, Scenario
from bench.storm.seen import Floats, Seen
from bench.storm.series import joined, peak_hz
from governor.load.plan import Demand, Group, Herd, Open

QUOTA_HZ, DEPTH = 80.0, 40.0
MEAN_S, SIGMA = 0.3, 0.3
RETRY_AFTER_S = 3
ORGANIC_HZ = 40.0
N_HERD, AT_S = 300, 10.0
BACK_S = AT_S + RETRY_AFTER_S
SECONDS = 19.9


def wave(seen: Seen) -> tuple[Floats, float]:
    """Return the calls that reached the provider, and when the last of the herd was served."""
    jobs = seen.jobs["provider"]
    reached_s = joined([jobs.arrived_s, jobs.refused_s])
    herd = seen.of("herd") & seen.is_done
    end_s = float(seen.ended_s[herd].max()) if herd.any() else seen.seconds
    return reached_s, max(end_s, BACK_S + 1.0)


def measure(seen: Seen) -> Quantities:
    """Return goodput over quota while there is enough to do, and the second wave's shape."""
    jobs = seen.jobs["provider"]
    reached_s, end_s = wave(seen)
    herd = seen.of("herd")
    is_useful = seen.is_useful(jobs)
    begun_s = jobs.arrived_s[is_useful]
    of_herd_s = begun_s[herd[seen.task[jobs.attempt[is_useful]]]]
    last_s = float(of_herd_s.max()) if len(of_herd_s) else seen.seconds
    served = ((begun_s >= AT_S) & (begun_s <= last_s)).sum()
    in_wave = ((reached_s >= BACK_S) & (reached_s < end_s)).sum()
    mean_hz = float(in_wave) / (end_s - BACK_S)
    return {
        "goodput_over_quota": float(served) / (DEPTH + QUOTA_HZ * (last_s - AT_S)),
        "wave_peak_over_mean": peak_hz(reached_s, BACK_S, end_s) / mean_hz if mean_hz else np.inf,
        "herd_done_after_s": end_s - AT_S,
        "herd_success": float(seen.is_done[herd].mean()) if herd.any() else 0.0,
        "told_429": float(len(jobs.refused_s)),
    }


PROVIDER = Scenario(
    name="provider",
    family="provider",
    text=f"A provider lets {QUOTA_HZ:.0f} calls/s through (bucket of {DEPTH:.0f}, {MEAN_S} s each) "
    f"and answers 429 with Retry-After: {RETRY_AFTER_S} to all others; {ORGANIC_HZ:.0f}/s organic "
    f"(open); at {AT_S:.0f} s {N_HERD} agents begin within 100 ms. OpenAI's law, time-out 30 s. "
    "Goodput: useful calls that reached the provider from the herd's first until the last of it "
    "that it took, over what the bucket and the quota gave in that time. Peak and mean: calls "
    f"that reach the provider from {BACK_S:.0f} s until the last of the herd is served.",
    services=(
        Behind(
            "provider",
            ServiceSpec(
                0,
                MEAN_S,
                SIGMA,
                quota_hz=QUOTA_HZ,
                quota_depth=DEPTH,
                retry_after_s=RETRY_AFTER_S,
            ),
            slots=round(QUOTA_HZ * MEAN_S),
        ),
    ),
    groups=(
        Group(
            "organic",
            100,
            Open(ORGANIC_HZ),
            key="fleet-key",
            timeout_s=30.0,
            demand=Demand(MEAN_S, SIGMA),
        ),
        Group(
            "herd",
            N_HERD,
            Herd(AT_S, 0.1),
            key="fleet-key",
            timeout_s=30.0,
            demand=Demand(MEAN_S, SIGMA),
        ),
    ),
    seconds=SECONDS,
    drain_s=14.0,
    measure=measure,
    musts=(
        Must("goodput ≥ 98 % of quota", "goodput_over_quota", ">=", 0.98, is_share=True),
        Must("second wave's peak ≤ 1.2 × mean", "wave_peak_over_mean", "<=", 1.2),
    ),
    patience_s=30.0,
    fault=(AT_S, BACK_S),
    columns=(
        ("herd_success", "of the herd served"),
        ("herd_done_after_s", "last of the herd after s"),
        ("told_429", "429 by the provider"),
    ),
)
