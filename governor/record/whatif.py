"""Recorded tasks against other gates and a modelled service: what would have become of them.

*Rule of this file*: no clock, no file; gates are given, chance is seeded.

*Theory*: the service has as many slots as the recording shows calls in flight, and each
attempt holds one for as long as it was recorded to; who finds none free waits inside the
service. An attempt that never got there is given a recorded holding time, drawn. A call
that the service failed in the recording fails again. Callers come back when an attempt
goes wrong: at the time they are told, else after as long as they were recorded to stay
away, else after what others stayed away before the same attempt; at most as often as any
was recorded to. Who left leaves again after as long; who said how long it waits, then.

*Regime*. Limits, all in the direction of caution about its figures:

- Holding times recorded under overload contain waiting inside the service: the model's is slower.
- A service that was never full shows fewer slots than it has: the model's is tighter.
- A service that fails *because* of load fails here as it was recorded, not as loaded.
- Nobody's next task depends on the end of the one before: a closed loop would slow down.

So compare one modelled run with another of the same recording, never with the recorded.

*Cost*: that of the gate, its ticks and a heap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

from governor.core.arrival import UNMARKED, Arrival
from governor.core.gate import Gate
from governor.core.lease import Decision, Lease, LeaseState
from governor.record.calls import Demand, Fate, Task
from policies.decision import Action, Outcome
from policies.switches import observe_all

TICK_NS = 50_000_000
"""As the proxy ticks; a silence in which nobody waits is one tick: the signals
read the same however often they are asked."""

SETTLE_NS = 120_000_000_000
"""After the last task arrived; what is open then is not counted as done."""

_ARRIVE, _END, _LEAVE = range(3)


class Model:
    """One run of a demand through gates.

    Parameters
    ----------
    demand : Demand
    gates : sequence of Gate
        New ones, one for each upstream of the demand.
    seed : int
        Of the draws.
    """

    def __init__(self, demand: Demand, gates: Sequence[Gate], seed: int = 1) -> None:
        self._demand = demand
        self._gates = gates
        self._rng = Random(seed)
        self._heap: list[tuple[int, int, int, Any]] = []
        self._n = 0
        self._free = list(demand.n_slots)
        self._queues: list[deque[Lease]] = [deque() for _ in demand.n_slots]
        self._held: list[list[int]] = []
        self._away, self._n_attempts_max = self._collect_away()
        self.fate = Fate(n_tasks=len(demand.tasks))
        self._now_ns = 0

    def run(self) -> Fate:
        """Play everything; return what became of it."""
        tasks = self._demand.tasks
        if not tasks:
            return self.fate
        tick_at_ns = tasks[0].at_ns
        until_ns = tasks[-1].at_ns + SETTLE_NS
        for at_ns, what, value in self._events(tasks):
            if tick_at_ns < at_ns - TICK_NS and not any(x.line_length for x in self._gates):
                tick_at_ns = at_ns - (at_ns - tick_at_ns) % TICK_NS  # one for a silence
            while tick_at_ns <= at_ns:
                self._now_ns = tick_at_ns
                for gate in self._gates:
                    self._apply(gate.tick(tick_at_ns))
                tick_at_ns += TICK_NS
            if at_ns > until_ns:
                break
            self._now_ns = at_ns
            if what == _ARRIVE:
                self._arrive(*value)
            elif what == _END:
                self._end(value)
            else:
                self._leave(value)
        return self.fate

    def _events(self, tasks: Iterable[Task]) -> Iterator[tuple[int, int, Any]]:
        """Yield in order of time what is to come; of the same instant, new tasks first."""
        heap = self._heap
        for task in tasks:
            while heap and heap[0][0] < task.at_ns:
                at_ns, _, what, value = heappop(heap)
                yield at_ns, what, value
            yield task.at_ns, _ARRIVE, (task, 0, task.upstream)
        while heap:
            at_ns, _, what, value = heappop(heap)
            yield at_ns, what, value

    # -- what callers do ------------------------------------------------------------

    def _arrive(self, task: Task, attempt: int, upstream: int) -> None:
        self.fate.n_arrivals += 1
        arrival = task.arrival
        if attempt:
            arrival = _again(arrival, attempt)
        self._ask((task, attempt, upstream), arrival)

    def _ask(self, owner: tuple[Task, int, int], arrival: Arrival) -> None:
        task, gate = owner[0], self._gates[owner[2]]
        if gate.is_observing and arrival.switches >= 0:  # its route's own states observe as well
            arrival = arrival.copy()  # so that one run changes nothing for the next
            arrival.switches = observe_all(arrival.switches)
        decision = gate.arrive(self._now_ns, arrival, owner)
        lease = decision.lease
        lease.owner = owner
        if decision.action is Action.WAIT:
            self.fate.n_held += 1
        bound_ns = task.leaves_ns or arrival.patience_ns
        if bound_ns:
            self._later(self._now_ns + bound_ns, _LEAVE, lease)
        self._apply((decision,))

    def _come_back(self, task: Task, attempt: int, upstream: int, told_ns: int) -> None:
        again = attempt + 1
        if again >= self._n_attempts_max:
            return
        recorded = task.attempts
        if again < len(recorded):
            away_ns = recorded[again].away_ns
        elif again < len(self._away) and self._away[again]:
            away_ns = self._rng.choice(self._away[again])
        else:
            return
        self._later(self._now_ns + (told_ns or away_ns), _ARRIVE, (task, again, upstream))

    def _leave(self, lease: Lease) -> None:
        if lease.state is LeaseState.CLOSED or lease.answered_at_ns:
            return
        task, attempt, upstream = lease.owner
        self.fate.n_left += 1
        if lease.state is LeaseState.PENDING:
            self.fate.waited_s += (self._now_ns - lease.waits_since_ns) / 1e9
        self._apply(self._gates[upstream].leave(self._now_ns, lease))
        self._come_back(task, attempt, task.upstream, 0)

    # -- what the service does ------------------------------------------------------

    def _apply(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            lease = decision.lease
            task, attempt, upstream = lease.owner
            action = decision.action
            if action is Action.WAIT:
                continue
            if lease.line_key >= 0 and action is not Action.DIVERT:
                self.fate.waited_s += (self._now_ns - lease.arrived_at_ns) / 1e9
            if action is Action.ADMIT:
                if self._free[upstream] > 0:
                    self._serve(lease)
                else:
                    self._queues[upstream].append(lease)
            elif action is Action.DIVERT:
                other = self._gates[upstream].fallback
                idx = next(i for i, gate in enumerate(self._gates) if gate is other)
                self._ask((task, attempt, idx), lease.arrival)
            else:
                self.fate.n_answered += 1
                self._come_back(task, attempt, task.upstream, decision.retry_after_ns)

    def _serve(self, lease: Lease) -> None:
        task, attempt, upstream = lease.owner
        self._free[upstream] -= 1
        recorded = task.attempts
        held_ns = recorded[attempt].held_ns if attempt < len(recorded) else 0
        if not held_ns:
            self._held = self._held or self._collect_held()
            held_ns = self._rng.choice(self._held[task.upstream])
        self._later(self._now_ns + held_ns, _END, (lease, held_ns))

    def _end(self, value: tuple[Lease, int]) -> None:
        lease, held_ns = value
        task, attempt, upstream = lease.owner
        recorded = task.attempts
        is_failed = attempt < len(recorded) and recorded[attempt].is_failed
        has_left = lease.has_left
        outcome = Outcome.COMPLETED
        if has_left:
            outcome = Outcome.ORPHANED
        elif is_failed:
            outcome = Outcome.FAILED
        fate = self.fate
        if outcome is Outcome.COMPLETED:
            fate.n_done += 1
            fate.useful_s += held_ns / 1e9
        else:
            fate.n_failed += is_failed
            fate.wasted_s += held_ns / 1e9
        self._free[upstream] += 1
        queue = self._queues[upstream]
        if queue and self._free[upstream] > 0:
            self._serve(queue.popleft())
        gate = self._gates[upstream]
        status = 200 if outcome is not Outcome.FAILED else 502
        self._apply(gate.depart(self._now_ns, lease, outcome, status))
        if outcome is Outcome.FAILED:
            self._come_back(task, attempt, task.upstream, 0)

    # -- what is drawn from ---------------------------------------------------------

    def _collect_held(self) -> list[list[int]]:
        held: list[list[int]] = [[] for _ in self._demand.n_slots]
        for task in self._demand.tasks:
            held[task.upstream] += [x.held_ns for x in task.attempts if x.held_ns]
        whole = [x for one in held for x in one] or [UNKNOWN_HELD_NS]
        return [one or whole for one in held]

    def _collect_away(self) -> tuple[list[list[int]], int]:
        if self._demand.is_single:
            return [[]], 1
        longest = max((len(task.attempts) for task in self._demand.tasks), default=1)
        away: list[list[int]] = [[] for _ in range(longest)]
        for task in self._demand.tasks:
            for number, attempt in enumerate(task.attempts[1:], start=1):
                away[number].append(attempt.away_ns)
        return away, longest

    def _later(self, at_ns: int, what: int, value: Any) -> None:
        self._n += 1
        heappush(self._heap, (at_ns, self._n, what, value))


UNKNOWN_HELD_NS = 1_000_000_000
"""Where no call of the recording ever ended."""


def _again(arrival: Arrival, attempt: int) -> Arrival:
    """Return the arrival of a later attempt: marked, if its caller marks any."""
    again = arrival.copy()
    again.attempt = UNMARKED if arrival.attempt == UNMARKED else attempt
    return again
