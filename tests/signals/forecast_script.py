"""Random lives of calls, told to a bank and to the forecast's slow twin alike.

*Rule of this file*: it is the test that knows which call is whose retry; both
sides must find the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from signals import ANSWERED, ATTEMPT_MASK, FAILED, GONE, REFUSED, UNMARKED, Shared, SignalBank
from signals.state import EPOCH_NS, N_FAILURES
from tests.signals.twins.backoff import Failure
from tests.signals.twins.forecast import NaiveForecast
from tests.signals.twins.patience import Call

MS = 1_000_000
S = 1_000 * MS


class Step(NamedTuple):
    """One event: (instant, what, flow, shape or call number, argument)."""

    at_ns: int
    what: str
    flow: int
    number: int
    argument: int


class Life(NamedTuple):
    """What a script is made of."""

    seed: int
    family: int
    n_steps: int = 250
    rate_hz: float = 100.0
    fail_share: float = 0.5
    leave_share: float = 0.2
    n_flows: int = 40
    patience_ns: int = 0
    invites: bool = False
    thinks: bool = False
    """Its callers are known to ask anew soon after a success, and so after a failure."""


def write(life: Life) -> list[Step]:
    """Return a random script; ``number`` is the call's number, or the shape's on arrival."""
    rng = np.random.default_rng(life.seed)
    now_ns, n_calls = 0, 0
    steps: list[Step] = []
    is_open: dict[int, tuple[int, int]] = {}  # call -> flow, shape
    orphans: dict[int, int] = {}
    failed: list[tuple[int, int]] = []  # flow, shape
    shape = 1
    for _ in range(life.n_steps):
        now_ns += int(rng.exponential(S / life.rate_hz))
        dice = rng.random()
        if dice < 0.5 or not (is_open or orphans):
            if failed and rng.random() < 0.5:
                flow, number = failed.pop(int(rng.integers(len(failed))))
            else:
                flow, number = int(rng.integers(0, life.n_flows)), shape
                shape += 1
            steps.append(Step(now_ns, "arrive", flow, number, 0))
            is_open[n_calls] = flow, number
            n_calls += 1
        elif orphans and (dice < 0.6 or not is_open):
            call = list(orphans)[int(rng.integers(len(orphans)))]
            steps.append(Step(now_ns, "gone", orphans.pop(call), call, 0))
        else:
            call = list(is_open)[int(rng.integers(len(is_open)))]
            flow, number = is_open.pop(call)
            chance = rng.random()
            has_room = sum(1 for f, _ in failed if f == flow) < N_FAILURES
            if not has_room or chance > life.fail_share + life.leave_share:
                steps.append(Step(now_ns, "serve", flow, call, 0))
                continue
            if flow > 0:
                failed.append((flow, number))
            if chance < life.leave_share:
                steps.append(Step(now_ns, "leave", flow, call, 0))
                orphans[call] = flow
            else:
                wait_ns = int(rng.integers(0, 3 * S)) if life.invites and dice < 0.8 else 0
                steps.append(Step(now_ns, "fail", flow, call, wait_ns))
    return steps


class Actor:
    """Plays a script into a bank and, where there is one, into the twin."""

    def __init__(self, life: Life, told_hz: float, has_twin: bool = True) -> None:
        self.life = life
        self.bank = SignalBank(life.n_flows + 1, Shared(4_096))
        self.record: Any = self.bank.state.forecast[0]
        self.record["told_hz"] = told_hz
        if life.thinks:
            control = self.bank.state.calibration[0]
            control["after_success"][life.family, 8:24] = 25.0  # 16 ms to 256 ms
            for name in ("n_watched", "n_settled", "n_repeated"):
                control[name][life.family] = 400.0
        self.twin = NaiveForecast(told_hz=told_hz) if has_twin else None
        self.handles: list[int] = []
        self.calls: list[Call] = []
        self.out: dict[tuple[int, int], Failure] = {}
        self.shapes: list[int] = []
        self.start_ns = -1
        """The first step's instant, at which the bank's own clock begins."""

    def play(self, steps: list[Step], shift_ns: int = 0) -> None:
        """Tell everything, or what comes next."""
        for step in steps:
            if self.start_ns < 0:
                self.start_ns = step.at_ns
            self._tell_bank(step, step.at_ns + shift_ns)
            if self.twin is not None:
                inner_ns = EPOCH_NS + step.at_ns - self.start_ns
                self.twin.advance(inner_ns)
                self._tell_twin(self.twin, step, inner_ns)

    def _tell_bank(self, step: Step, now_ns: int) -> None:
        bank = self.bank
        if step.what == "arrive":
            call = bank.observe_arrival(
                now_ns,
                0,
                step.flow,
                0,
                step.number,
                UNMARKED,
                self.life.family,
                step.flow > 0,
                self.life.patience_ns,
            )
            self.handles.append(call)
            self.shapes.append(step.number)
        elif step.what == "leave":
            bank.observe_leave(now_ns, self.handles[step.number])
        elif step.what == "gone":
            bank.observe_end(now_ns, self.handles[step.number], GONE)
        elif step.what == "serve":
            if step.number % 2:
                bank.observe_answer(now_ns, self.handles[step.number])
            bank.observe_end(now_ns, self.handles[step.number], ANSWERED)
        else:
            how = REFUSED if step.number % 2 else FAILED
            bank.observe_end(now_ns, self.handles[step.number], how, step.argument)

    def _tell_twin(self, twin: NaiveForecast, step: Step, t_ns: int) -> None:
        if step.what == "arrive":
            failure = self.out.pop((step.flow, step.number), None)
            attempt = 0
            if failure is not None:
                failure.back_ns = t_ns
                attempt = self.handles[len(self.calls)] & ATTEMPT_MASK
                failure.has_given_up = attempt == 0
                assert attempt > failure.q or attempt == 0
            call = twin.arrive(t_ns, attempt, self.life.family, step.flow, self.life.patience_ns)
            self.calls.append(call)
            return
        call = self.calls[step.number]
        if step.what == "serve":
            twin.serve(t_ns, call)
        elif step.what == "gone":
            assert call.left_ns is not None
            if t_ns - call.left_ns > MS:
                twin.serve(t_ns, call)
            else:
                call.worked_off_ns = t_ns
        else:
            due_ns = t_ns + step.argument if step.argument else 0
            call.over_ns = t_ns
            if step.what == "leave":
                call.left_ns = t_ns
            failure = twin.fail(t_ns, call, due_ns, step.what == "leave")
            if step.flow > 0:
                self.out[step.flow, self.shapes[step.number]] = failure
