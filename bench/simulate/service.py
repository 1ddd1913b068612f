"""The service of the socket benchmark on the virtual clock: the same slots, demands and faults.

*Rule of this file*: no law of its own. Slots, line, speed and quota are
:mod:`bench.service`'s, which never read a clock; only the timer is another. Jobs that
nobody waits for any more go on, as they do on sockets.

*Regime*: services of one process that answer whole. Streams, deaths and workers that
call on are refused by name, not approximated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from bench.service.bucket import TokenBucket
from bench.service.slots import Job, Slots
from bench.service.spec import ServiceSpec
from bench.simulate.clock import Agenda

Headers = dict[str, str]
OnReply = Callable[[float, int, Headers], None]
"""(instant, status, headers)"""


class NotSimulated(ValueError):
    """What a scenario asks for is not modelled here."""


class SimulatedService:
    """One service.

    Parameters
    ----------
    agenda : Agenda
    spec : ServiceSpec
    seed : int
        Of its demands, as the socket benchmark gives it to the process.
    """

    def __init__(self, agenda: Agenda, spec: ServiceSpec, seed: int) -> None:
        for name in ("is_stream", "dead", "workers_call"):
            if getattr(spec, name):
                raise NotSimulated(f"services with {name} are measured on sockets only")
        now_s = agenda.now_s
        self._agenda = agenda
        self.spec = spec
        self._rng = random.Random(seed)
        self._mu = math.log(spec.mean_s) - spec.sigma * spec.sigma / 2.0
        steps = [(now_s + at_s, speed) for at_s, speed in spec.steps]
        self._slots = Slots(spec.n_slots, steps, spec.queue_bound)
        self._slots.advance(now_s)
        self._bucket = (
            TokenBucket(spec.quota_hz, spec.quota_depth, now_s) if spec.quota_hz else None
        )
        self._timer_s = math.inf
        self.jobs: list[tuple[int, float, float, float, float, bool]] = []
        self.refused: list[tuple[int, float, int]] = []
        self._arm()

    @property
    def log(self) -> dict[str, list[Any]]:
        """What the service's own log says on sockets."""
        return {"jobs": self.jobs, "refused": self.refused}

    @property
    def n_inside(self) -> int:
        """Requests served or in its line."""
        return self._slots.n_running + len(self._slots.line)

    def accept(self, now_s: float, number: int, demand_s: float, on_reply: OnReply) -> None:
        """Take a request in; ``demand_s`` below 0: it brings none."""
        if self._bucket is not None and not self._bucket.take(now_s):
            self._refuse(now_s, number, 429, on_reply)
            return
        if demand_s < 0.0:
            demand_s = self._rng.lognormvariate(self._mu, self.spec.sigma)
        self._settle(now_s)
        if not self._slots.offer(Job(demand_s, now_s, (number, on_reply))):
            self._refuse(now_s, number, 503, on_reply)
            return
        self._slots.started.clear()
        self._arm()

    def _refuse(self, now_s: float, number: int, status: int, on_reply: OnReply) -> None:
        self.refused.append((number, now_s, status))
        wait_s = self.spec.retry_after_s
        headers = {"retry-after": str(wait_s)} if wait_s and status == 429 else {}
        # In the same instant, but after what is being done: no reply comes back within a call.
        self._agenda.at(now_s, lambda at_s, _: on_reply(at_s, status, headers))

    def _settle(self, now_s: float) -> None:
        for job in self._slots.advance(now_s):
            number, on_reply = job.owner
            self.jobs.append(
                (number, job.arrived_s, job.started_s, job.finished_s, job.demand_s, True)
            )
            on_reply(now_s, 200, {})

    def _arm(self) -> None:
        next_s = self._slots.next_s()
        if next_s is not None and next_s != self._timer_s:
            self._timer_s = next_s
            self._agenda.at(next_s, self._on_timer, next_s)

    def _on_timer(self, now_s: float, armed_s: float) -> None:
        if armed_s != self._timer_s:
            return  # armed anew since
        self._timer_s = math.inf
        self._settle(now_s)
        self._slots.started.clear()
        self._arm()
