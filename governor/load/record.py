"""What a fleet did: tasks and attempts in columns, and how late the generator was.

*Rule of this file*: numbers in, numbers out. Instants are seconds of the machine's
monotonic clock, so that a service's own log on the same machine can be joined.

Columns of ``tasks``: group, target, agent (index within the group), tree (-1:
none), level (0 for a root), began_s (when it was due), ended_s (-1: open),
is_done, attempts, demand_s (-1: none). Of ``attempts``: task, began_s,
first_byte_s (-1: none), ended_s (-1: open), status (0: no answer, -1: open), loss
(why there was no answer: 0 for ``ANSWERED``, ``TIMED_OUT``, …), retry_after_s (-1: none told).
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import orjson

Record = dict[str, Any]
"""See the head of this file; columns are numpy arrays, lists once read from JSON."""

Columns = dict[str, "array[Any]"]

ANSWERED, TIMED_OUT, NOT_CONNECTED, BROKEN = range(4)

TASK_COLUMNS = {
    "group": "l",
    "target": "l",
    "agent": "l",
    "tree": "l",
    "level": "b",
    "began_s": "d",
    "ended_s": "d",
    "is_done": "b",
    "attempts": "l",
    "demand_s": "d",
}
ATTEMPT_COLUMNS = {
    "task": "l",
    "began_s": "d",
    "first_byte_s": "d",
    "ended_s": "d",
    "status": "l",
    "loss": "b",
    "retry_after_s": "d",
}
MAX_ATTEMPTS = 5_000_000
"""A run ends here, whatever was planned: about 300 MB."""


class Recorder:
    """The columns while they grow."""

    def __init__(self) -> None:
        self.tasks: Columns = {name: array(code) for name, code in TASK_COLUMNS.items()}
        self.attempts: Columns = {name: array(code) for name, code in ATTEMPT_COLUMNS.items()}
        self.n_tasks = self.n_done = self.n_failed = 0
        self.n_attempts = self.n_refused = self.n_lost = 0
        self._late_s = array("f")
        tasks, attempts = self.tasks, self.attempts
        self._new_task = [tasks[name].append for name in TASK_COLUMNS]
        self._new_attempt = [attempts[name].append for name in ATTEMPT_COLUMNS]
        self._task_attempts = tasks["attempts"]

    def begin_task(
        self, group: int, target: int, agent: int, tree: int, level: int, at: float, demand: float
    ) -> int:
        """Add a task; return its index."""
        values = (group, target, agent, tree, level, at, -1.0, 0, 0, demand)
        for append, value in zip(self._new_task, values, strict=True):
            append(value)
        self.n_tasks += 1
        return self.n_tasks - 1

    def begin_attempt(self, task: int, at_s: float) -> int:
        """Add an attempt; return its index."""
        for append, value in zip(
            self._new_attempt, (task, at_s, -1.0, -1.0, -1, ANSWERED, -1.0), strict=True
        ):
            append(value)
        self._task_attempts[task] += 1
        self.n_attempts += 1
        return self.n_attempts - 1

    def end_attempt(
        self, idx: int, at_s: float, first_byte_s: float, status: int, loss: int, hint_s: float
    ) -> None:
        """Note how an attempt ended."""
        attempts = self.attempts
        attempts["first_byte_s"][idx] = first_byte_s
        attempts["ended_s"][idx] = at_s
        attempts["status"][idx] = status
        attempts["loss"][idx] = loss
        attempts["retry_after_s"][idx] = hint_s
        if loss:
            self.n_lost += 1
        elif status in (429, 503):
            self.n_refused += 1

    def end_task(self, idx: int, at_s: float, is_done: bool) -> None:
        """Note how a task ended."""
        self.tasks["ended_s"][idx] = at_s
        self.tasks["is_done"][idx] = is_done
        if is_done:
            self.n_done += 1
        else:
            self.n_failed += 1

    def note_late(self, seconds: float) -> None:
        """Note by how much one of the generator's own timers was late."""
        self._late_s.append(seconds if seconds > 0.0 else 0.0)

    def lateness(self) -> dict[str, float]:
        """Return p50, p99 and maximum of the generator's lateness, s."""
        if not self._late_s:
            return {"p50": 0.0, "p99": 0.0, "max": 0.0}
        p50, p99, most = np.percentile(np.array(self._late_s), [50, 99, 100])
        return {"p50": float(p50), "p99": float(p99), "max": float(most)}

    def columns(self) -> dict[str, dict[str, Any]]:
        """Return tasks and attempts as numpy columns."""
        return {
            "tasks": {name: np.array(column) for name, column in self.tasks.items()},
            "attempts": {name: np.array(column) for name, column in self.attempts.items()},
        }


def record_to_json(record: Record) -> bytes:
    """Return a record as JSON."""
    return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)


def record_from_json(text: bytes) -> Record:
    """Return a record with its columns as numpy arrays."""
    record: Record = orjson.loads(text)
    for part, codes in (("tasks", TASK_COLUMNS), ("attempts", ATTEMPT_COLUMNS)):
        record[part] = {
            name: np.array(column, dtype=np.float64 if codes[name] == "d" else np.int64)
            for name, column in record[part].items()
        }
    return record
