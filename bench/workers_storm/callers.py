"""Who stands in front of the gate: agents with tasks, patience of two seconds, and retries.

*Source*: the back-off is that of OpenAI's SDK: half a second, doubled to at most eight, less up
to a quarter by chance.
"""

from __future__ import annotations

from math import exp
from random import Random
from typing import TYPE_CHECKING

from bench.workers_storm.world import S
from governor.core.arrival import Arrival
from governor.core.lease import Asked, Decision, Lease
from policies.decision import Action, Outcome, Reason

if TYPE_CHECKING:
    from bench.workers_storm.play import Storm


TIMEOUT_NS = 2 * S
MAX_RETRIES = 6
MEAN_S, SIGMA = 0.1, 0.5


class Call:
    """One attempt of an agent's task; the owner of its lease."""

    request_id = b""

    def __init__(self, agent: Agent, attempt: int, work_ns: int) -> None:
        self.agent, self.work_ns = agent, work_ns
        self.has_left = self.is_over = False
        world = agent.world
        self._gate = world.front(agent.number)
        came = Arrival(9, 10 + agent.number, 10 + agent.number, agent.number, attempt)
        came.is_identified, came.patience_ns = True, TIMEOUT_NS
        world.at(world.now_ns + TIMEOUT_NS, self._give_up)
        decision = self._gate.arrive(world.now_ns, world.take(came), self)
        self.lease: Lease = decision.lease
        self.lease.owner = self
        if type(decision) is not Asked:
            self.told(decision)

    def told(self, decision: Decision) -> None:
        """Do what was decided, first or later."""
        counts = self.agent.storm.decided
        counts[decision.action.name.lower()] += 1
        world = self.agent.world
        if decision.action is Action.ADMIT:
            self.agent.storm.watch_limit()
            self.agent.storm.service.enter(self)
        elif decision.action is Action.ANSWER:
            self._end()
            self.agent.failed(decision.retry_after_ns or None, world.now_ns)

    apply = told

    def done(self) -> None:
        """The service has answered."""
        outcome = Outcome.ORPHANED if self.has_left else Outcome.COMPLETED
        self._depart(outcome, 200)
        if not self.has_left:
            self._end()
            self.agent.succeeded()

    def refused(self) -> None:
        """The service has refused it."""
        world, gate = self.agent.world, self._gate
        self.agent.storm.n_refused += 1
        gate.refused.note(world.now_ns)
        decision = gate.refused.answer(world.now_ns, self.lease, 429, 0)
        self._depart(Outcome.REFUSED, 429)
        self._end()
        is_given = decision is not None and decision.reason is Reason.SLOT_GIVEN
        wait_ns = decision.retry_after_ns if decision is not None and is_given else None
        self.agent.failed(wait_ns, world.now_ns)

    def _depart(self, outcome: Outcome, status: int) -> None:
        world = self.agent.world
        world.tell(self._gate.depart(world.now_ns, self.lease, outcome, status))

    def _give_up(self) -> None:
        if self.is_over:
            return
        self.has_left = True
        world = self.agent.world
        self._gate.leave(world.now_ns, self.lease)
        self._end()
        self.agent.failed(None, world.now_ns)

    def _end(self) -> None:
        self.is_over = True


class Agent:
    """Does one task after the other, each with its retries."""

    def __init__(self, storm: Storm, number: int, think_s: float, at_ns: int) -> None:
        self.storm, self.world, self.number = storm, storm.world, number
        self._rng = Random(f"{storm.seed} {number}")
        self._think_s = think_s
        self.world.at(at_ns, self.begin)

    def begin(self) -> None:
        """Begin a task."""
        self.began_ns = self.world.now_ns
        self._attempt = 0
        work_s = MEAN_S * exp(self._rng.gauss(-SIGMA * SIGMA / 2, SIGMA))
        self._work_ns = int(work_s * S)
        self._try()

    def _try(self) -> None:
        self.storm.n_attempts += 1
        Call(self, self._attempt, self._work_ns)

    def succeeded(self) -> None:
        """Think, and go on."""
        self.storm.took_s.append((self.world.now_ns - self.began_ns) / S)
        self._go_on()

    def failed(self, wait_ns: int | None, now_ns: int) -> None:
        """Come back as OpenAI's SDK does: when it is told, else after a back-off."""
        self._attempt += 1
        if self._attempt > MAX_RETRIES:
            self.storm.n_failed += 1
            self._go_on()
            return
        if wait_ns is None:
            back_s = min(0.5 * 2 ** (self._attempt - 1), 8.0) * (1 - 0.25 * self._rng.random())
            wait_ns = int(back_s * S)
        self.world.at(now_ns + wait_ns, self._try)

    def _go_on(self) -> None:
        if self._think_s and self.world.now_ns < self.storm.ends_ns:
            think_ns = int(self._rng.expovariate(1 / self._think_s) * S)
            self.world.at(self.world.now_ns + think_ns, self.begin)
