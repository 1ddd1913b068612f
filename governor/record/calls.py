"""What was asked of a service: tasks, each a call and the same call again after it failed.

*Rule of this file*: from records to tasks. How a task would fare elsewhere is
:mod:`governor.record.whatif`'s.

*Theory*: in a recording, arrivals and retries are mixed, and retries are the answer to
what went wrong then. Under another configuration other calls go wrong. So retries are
taken out: an arrival with the flow and the fingerprint of a call that ended badly within
``RETURN_NS`` before is that task's next attempt, and how long it stayed away is its
caller's law. What is left is what people and agents wanted.

*Regime*: a caller that repeats the same call on purpose soon after a failure is taken for
a retry. Callers whose connection is their only name are other flows when they reconnect:
their retries count as tasks of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from governor.core.arrival import Arrival
from governor.record.events import KINDS_WITH_TAIL, Kind
from governor.record.rows import Chunk, Head, in_chunks
from governor.record.store import Recording
from policies.decision import Action, Outcome

RETURN_NS = 60_000_000_000
"""SDKs stay away for a minute at most; who comes later has a new reason to."""

_BAD = (Outcome.REFUSED, Outcome.FAILED, Outcome.ORPHANED, Outcome.CANCELLED, Outcome.UNSENT)
_WASTED = (Outcome.REFUSED, Outcome.FAILED, Outcome.ORPHANED, Outcome.CANCELLED)


@dataclass(slots=True)
class Attempt:
    """One call as it was recorded."""

    held_ns: int = 0
    """From dispatch to end: what it demands of the service; 0 if it never got there."""
    is_failed: bool = False
    """The service failed or refused it."""
    away_ns: int = 0
    """From the end of the attempt before to this one's arrival."""


@dataclass(slots=True)
class Task:
    """What one caller wanted once."""

    at_ns: int
    upstream: int
    arrival: Arrival
    attempts: list[Attempt] = field(default_factory=list)
    leaves_ns: int = 0
    """How long its caller waited before it left; 0 if it did not."""


@dataclass(slots=True)
class Fate:
    """What became of all tasks, as recorded or as modelled; seconds are of the service."""

    n_tasks: int = 0
    n_arrivals: int = 0
    n_done: int = 0
    n_held: int = 0
    n_answered: int = 0
    n_failed: int = 0
    n_left: int = 0
    waited_s: float = 0.0
    useful_s: float = 0.0
    wasted_s: float = 0.0

    @property
    def wasted_share(self) -> float:
        """Of the service's time."""
        whole_s = self.useful_s + self.wasted_s
        return self.wasted_s / whole_s if whole_s else 0.0


@runtime_checkable
class HasPlaces(Protocol):
    """Tasks that know this of themselves without being looked at one by one."""

    @property
    def places(self) -> tuple[int, int, int]:
        """The highest place of tenants, flows and trees."""


@dataclass(slots=True)
class Demand:
    """Everything that is played: tasks in order of time, and the service's slots."""

    tasks: Sequence[Task]
    n_slots: list[int]
    """By upstream, the most that was in flight at once."""
    fate: Fate | None
    """What became of it, where that is known."""
    is_single: bool = False
    """Each task is one attempt that was served: nobody is known to come back."""

    @property
    def places(self) -> tuple[int, int, int]:
        """The highest place of tenants, flows and trees."""
        if isinstance(self.tasks, HasPlaces):
            return self.tasks.places
        tenant = flow = tree = 0
        for task in self.tasks:
            arrival = task.arrival
            tenant, tree = max(tenant, arrival.tenant), max(tree, arrival.tree)
            flow = max(flow, arrival.flow, arrival.parent_flow)
        return tenant, flow, tree


class _Open:
    """A call whose end has not come yet."""

    __slots__ = ("attempt", "key", "sent_ns", "since_ns", "task")

    def __init__(self, task: Task, attempt: Attempt, key: tuple[int, int, int]) -> None:
        self.task, self.attempt, self.key = task, attempt, key
        self.sent_ns = self.since_ns = 0


class _Reader:
    def __init__(self, n_upstreams: int) -> None:
        self.tasks: list[Task] = []
        self.fate = Fate()
        self._open: dict[int, _Open] = {}
        self._bad: dict[tuple[int, int, int], tuple[Task, int]] = {}
        self._in_flight = [0] * n_upstreams
        self.n_slots = [1] * n_upstreams

    def take(self, chunk: Chunk) -> None:
        """Read some records."""
        for idx in range(chunk.n):
            event = chunk.head(idx)
            kind, t_ns, number = event[4], event[0], event[1]
            arrival = chunk.next_arrival() if kind in KINDS_WITH_TAIL else None
            if arrival is not None and kind == Kind.ARRIVE:
                self._arrive(event, arrival)
            elif kind == Kind.DECIDE:
                self._decide(t_ns, event, self._open.get(number))
            elif kind == Kind.DEPART:
                self._depart(t_ns, event, self._open.pop(number, None))
            elif kind == Kind.LEAVE:
                self._leave(t_ns, number)
            elif kind == Kind.ABSORB and event[2] and number in self._open:
                call = self._open[event[2]] = self._open.pop(number)
                self._unsend(event[5])
                call.sent_ns = 0

    def _arrive(self, event: Head, arrival: Arrival) -> None:
        t_ns, upstream = event[0], event[5]
        self.fate.n_arrivals += 1
        key = (upstream, arrival.flow, arrival.fingerprint)
        attempt = Attempt()
        task, ended_ns = self._bad.pop(key, (None, 0))
        if task is None or t_ns - ended_ns > RETURN_NS:
            task = Task(t_ns, upstream, arrival)
            self.tasks.append(task)
        else:
            attempt.away_ns = max(0, t_ns - ended_ns)
        task.attempts.append(attempt)
        call = self._open[event[1]] = _Open(task, attempt, key)
        self._decide(t_ns, event, call)

    def _decide(self, t_ns: int, event: Head, call: _Open | None) -> None:
        if call is None:
            return
        action, upstream = event[6], event[5]
        if action == Action.WAIT:
            call.since_ns = t_ns
            self.fate.n_held += 1
            return
        if call.since_ns:
            self.fate.waited_s += (t_ns - call.since_ns) / 1e9
            call.since_ns = 0
        if action == Action.ADMIT and not call.sent_ns:
            call.sent_ns = t_ns
            self._in_flight[upstream] += 1
            self.n_slots[upstream] = max(self.n_slots[upstream], self._in_flight[upstream])
        elif action in (Action.ANSWER, Action.DIVERT):
            self._open.pop(event[1], None)
            if action == Action.ANSWER:
                self.fate.n_answered += 1
                self._bad[call.key] = (call.task, t_ns)

    def _depart(self, t_ns: int, event: Head, call: _Open | None) -> None:
        if call is None:
            return
        self._unsend(event[5])
        held_ns = t_ns - call.sent_ns if call.sent_ns else 0
        outcome = event[6]
        call.attempt.held_ns = held_ns
        call.attempt.is_failed = outcome in (Outcome.REFUSED, Outcome.FAILED)
        if outcome in _WASTED:
            self.fate.wasted_s += held_ns / 1e9
        else:
            self.fate.useful_s += held_ns / 1e9
        self.fate.n_failed += call.attempt.is_failed
        if outcome == Outcome.COMPLETED:
            self.fate.n_done += 1
        elif outcome in _BAD and call.key not in self._bad:
            self._bad[call.key] = (call.task, t_ns)

    def _leave(self, t_ns: int, number: int) -> None:
        call = self._open.get(number)
        if call is None:
            return
        self.fate.n_left += 1
        if not call.task.leaves_ns:
            before = sum(x.away_ns + x.held_ns for x in call.task.attempts[:-1])
            call.task.leaves_ns = max(1, t_ns - call.task.at_ns - before)
        self._bad[call.key] = (call.task, t_ns)
        if not call.sent_ns:
            del self._open[number]

    def _unsend(self, upstream: int) -> None:
        self._in_flight[upstream] = max(0, self._in_flight[upstream] - 1)


def demand_of(recording: Recording) -> Demand:
    """Return the tasks of a recording, and what became of them."""
    reader = _Reader(len(recording.upstreams))
    for chunk in in_chunks(recording.events):
        reader.take(chunk)
    reader.tasks.sort(key=lambda task: task.at_ns)  # no work where clocks never went back
    reader.fate.n_tasks = len(reader.tasks)
    return Demand(reader.tasks, reader.n_slots, reader.fate)
