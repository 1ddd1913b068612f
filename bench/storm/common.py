"""What every run is asked, whatever the scenario: success, goodput, waste, attempts, times."""

from __future__ import annotations

import numpy as np

from bench.storm.base import Quantities
from bench.storm.seen import REFUSALS, TIMED_OUT, Seen, percentile


def measure(seen: Seen, watched: tuple[str, ...]) -> Quantities:
    """Return the quantities that stand in every table; times are those of the watched groups."""
    is_lost = seen.status == 0
    took_s = seen.took_s[seen.of(*(watched or seen.groups))]
    n_tasks = len(seen.group)
    in_time = seen.is_done & (seen.ended_s < seen.seconds)
    return {
        "tasks": float(n_tasks),
        "succeeded": float(seen.is_done.sum()),
        "failed": float((seen.has_ended & ~seen.is_done).sum()),
        "unfinished": float((~seen.has_ended).sum()),
        "success_ratio": float(seen.is_done.mean()) if n_tasks else 0.0,
        "goodput_hz": float(in_time.sum()) / seen.seconds,
        "attempts_per_task": float(seen.n_attempts.mean()) if n_tasks else 0.0,
        "refusals": float(np.isin(seen.status, REFUSALS).sum()),
        "timeouts": float((is_lost & (seen.loss == TIMED_OUT)).sum()),
        "broken": float((is_lost & (seen.loss != TIMED_OUT)).sum()),
        "other_statuses": float(
            ((seen.status > 0) & (seen.status // 100 != 2) & ~np.isin(seen.status, REFUSALS)).sum()
        ),
        "p50_s": percentile(took_s, 50),
        "p99_s": percentile(took_s, 99),
        "waste_ratio": seen.wasted(),
        "orphaned_work_ratio": seen.wasted(in_demand=True),
        "late_p99_s": seen.late_p99_s,
        "callers_cpu_s": seen.callers_cpu_s,
    }
