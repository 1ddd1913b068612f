"""One run as arrays on one axis: tasks, attempts and the services' jobs, s from the start.

*Rule of this file*: joining and slicing; what it means is the scenarios'.

*Definitions*
- A task's response time runs from when it was due to its complete reply; a task
  that never succeeded has an infinite one, so that nobody looks quick by failing.
- A job is useful if the attempt that asked for it ended with a complete 2xx reply,
  known from the callers themselves and not from sockets that a proxy may keep.
- The waste ratio is the slot-seconds of all other jobs over all slot-seconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

REFUSALS = (429, 503)
TIMED_OUT = 1
"""Number of that loss in the fleet's record."""


def percentile(values: Floats, q: float) -> float:
    """Return a percentile that is one of the values (infinite ones included); nan of none.

    >>> percentile(np.array([1.0, 2.0, float("inf")]), 50)
    2.0
    """
    if not len(values):
        return float("nan")
    return float(np.percentile(values, q, method="inverted_cdf"))


class Jobs:
    """What one service (all its endpoints) did."""

    def __init__(self, logs: list[dict[str, Any]], began_s: float) -> None:
        rows = [row for log in logs for row in log["jobs"]]
        table = np.array([row[:5] for row in rows], dtype=np.float64).reshape(-1, 5)
        self.attempt: Ints = table[:, 0].astype(np.int64)
        self.arrived_s: Floats = table[:, 1] - began_s
        self.started_s: Floats = table[:, 2] - began_s
        self.finished_s: Floats = table[:, 3] - began_s
        self.demand_s: Floats = table[:, 4]
        refused = [row for log in logs for row in log["refused"]]
        no = np.array([row[:3] for row in refused], dtype=np.float64).reshape(-1, 3)
        self.refused_s: Floats = no[:, 1] - began_s

    def busy_s(self, start_s: float, stop_s: float) -> float:
        """Return the slot-seconds spent in [start_s, stop_s)."""
        inside = np.minimum(self.finished_s, stop_s) - np.maximum(self.started_s, start_s)
        return float(np.clip(inside, 0.0, None).sum())


class Seen:
    """One run.

    Parameters
    ----------
    record : dict
        Of ``governor.load``: columns of tasks and attempts.
    logs : dict of service name to the logs of its endpoints
    groups : list of str
        Names of the plan's groups, in its order.
    seconds : float
        How long tasks began.
    begun_s : float
        When the services began their faults (monotonic).
    """

    def __init__(
        self,
        record: dict[str, Any],
        logs: dict[str, list[dict[str, Any]]],
        groups: list[str],
        seconds: float,
        begun_s: float | None = None,
    ) -> None:
        began_s = record["began_s"] if begun_s is None else begun_s
        tasks, attempts = record["tasks"], record["attempts"]
        self.seconds = seconds
        self.groups = groups
        self.late_p99_s = float(record.get("late_s", {}).get("p99", 0.0))
        self.callers_cpu_s = float(record.get("cpu_s", 0.0))
        self.group: Ints = np.array(tasks["group"], dtype=np.int64)
        self.began_s: Floats = np.array(tasks["began_s"], dtype=np.float64) - began_s
        ended: Floats = np.array(tasks["ended_s"], dtype=np.float64)
        self.has_ended: Flags = ended >= 0
        self.ended_s: Floats = ended - began_s
        self.is_done: Flags = np.array(tasks["is_done"], dtype=np.int64) > 0
        self.n_attempts: Ints = np.array(tasks["attempts"], dtype=np.int64)
        self.demand_s: Floats = np.array(tasks["demand_s"], dtype=np.float64)
        self.took_s: Floats = np.where(self.is_done, self.ended_s - self.began_s, np.inf)
        self.task: Ints = np.array(attempts["task"], dtype=np.int64)
        self.called_s: Floats = np.array(attempts["began_s"], dtype=np.float64) - began_s
        self.replied_s: Floats = np.array(attempts["ended_s"], dtype=np.float64) - began_s
        self.first_byte_s: Floats = np.array(attempts["first_byte_s"], dtype=np.float64)
        self.status: Ints = np.array(attempts["status"], dtype=np.int64)
        self.loss: Ints = np.array(attempts.get("loss", np.zeros(len(self.status))), dtype=np.int64)
        self._origin_s = began_s
        self.jobs = {name: Jobs(found, began_s) for name, found in logs.items()}

    def of(self, *names: str) -> Flags:
        """Return which tasks belong to the named groups."""
        wanted = [number for number, name in enumerate(self.groups) if name in names]
        found: Flags = np.isin(self.group, wanted)
        return found

    def begun_in(self, start_s: float, stop_s: float) -> Flags:
        """Return which tasks began in [start_s, stop_s)."""
        found: Flags = (self.began_s >= start_s) & (self.began_s < stop_s)
        return found

    def first_byte_took_s(self) -> Floats:
        """Return, per task, the time from its beginning to the first byte of its 2xx reply."""
        took = np.full(len(self.began_s), np.inf)
        good = (self.status // 100 == 2) & (self.first_byte_s >= 0)
        tasks = self.task[good]
        took[tasks] = self.first_byte_s[good] - self._origin_s - self.began_s[tasks]
        took[~self.is_done] = np.inf
        return took

    def is_useful(self, jobs: Jobs) -> Flags:
        """Return which jobs somebody benefited from."""
        useful: Flags = (self.status_of(jobs) // 100) == 2
        return useful

    def status_of(self, jobs: Jobs) -> Ints:
        """Return each job's attempt's status; 0 where the attempt is not known."""
        status = np.zeros(len(jobs.attempt), dtype=np.int64)
        is_known = (jobs.attempt >= 0) & (jobs.attempt < len(self.status))
        status[is_known] = self.status[jobs.attempt[is_known]]
        return status

    def wasted(self, *, in_demand: bool = False) -> float:
        """Return the share of upstream seconds (or of demand) nobody benefited from."""
        lost = spent = 0.0
        for jobs in self.jobs.values():
            # What was still under way when the record closed is neither.
            is_closed = self.status_of(jobs) >= 0
            each = jobs.demand_s if in_demand else jobs.finished_s - jobs.started_s
            spent += float(each[is_closed].sum())
            lost += float(each[is_closed & ~self.is_useful(jobs)].sum())
        return lost / spent if spent else 0.0
