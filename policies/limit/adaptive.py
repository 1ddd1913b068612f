"""The adaptive in-flight limit of one endpoint: the hot path and the phases.

*Rule of this file*: what happens per request (a few additions and one
logarithm) and when a phase opens, closes and is judged. Which one is next is
:mod:`policies.limit.ring`'s, what it means :mod:`policies.limit.control`'s.

*Theory*: cohorts of dispatches are judged by their mean ln(response time); on
purpose the limit swings a little while callers wait, so that the elasticity of
response time to the number in flight can be read. Until a knee has been met,
every normal answer lets one more in, as in TCP's slow start: who answers in
time at n in flight has proven n.

*Source*: ours. *Considered and rejected*: gradients on a quantile of response
time (collapse when service times vary), AIMD on time-outs (fills the
upstream's queue several times over and orphans a third of its work).
"""

from __future__ import annotations

from math import log, sqrt
from typing import Final

from policies.limit.control import INFLATED, Control
from policies.limit.overdue import STALL_MIN, STALL_ROOM, Overdue
from policies.limit.phases import FOLD_NS_MIN, N_MIN, Cohort, Kind, Phase
from policies.limit.protocol import NS_PER_S, Limit
from policies.limit.refusals import Refusals
from policies.limit.ring import Ring
from policies.limit.swing import Swing, limit_in
from policies.limit.throughput import Throughput
from policies.xorshift import Xorshift

INITIAL: Final = 32
"""Limit before anything is known."""

CEILING: Final = 1 << 16
"""No endpoint of one proxy has more sockets."""

UNJUDGED_GROWTH: Final = 4.0
"""Answers alone may raise the limit to four times what a judged cohort has proven, or the first."""

TOP_GAIN: Final = 1.0 / 12.0
"""Gain of the running mean that brakes the growth per answer."""

N_SLOW_MIN: Final = 8
"""So many answers in a row a quarter slower than usual: a queue delays all, a long tail a few."""

NEVER: Final = 1 << 62
"""More than can be in flight."""


class AdaptiveLimit(Limit):
    """In-flight limit that finds the capacity of an endpoint from its answers.

    Parameters
    ----------
    rng_seed : int
        The only randomness is the length of phases; same seed, same limit.
    initial : int
        Limit before anything is known.
    floor, ceiling : int
        Bounds, 1 <= floor <= initial <= ceiling.
    """

    __slots__ = (
        *("_ceiling", "_control", "_grow_above", "_grow_below", "_grow_to", "_in_flight"),
        *("_initial", "_is_led", "_is_pressed", "_n_slow", "_overdue", "_phase", "_phases"),
        *("_response_ns", "_ring", "_rng", "_swing", "_throughput", "_top"),
        *("_top_n", "_usual", "pool", "refusals"),
    )

    def __init__(
        self, rng_seed: int, initial: int = INITIAL, floor: int = 1, ceiling: int = CEILING
    ) -> None:
        if not 1 <= floor <= initial <= ceiling:
            got = f"{floor}, {initial}, {ceiling}"
            raise ValueError(f"need 1 <= floor <= initial <= ceiling, got {got}")
        self.limit = initial
        self._control = Control(initial, floor, ceiling)
        self._overdue = Overdue()
        self._throughput = Throughput()
        self.refusals = Refusals()
        self._ceiling = ceiling
        self._rng = Xorshift(rng_seed)
        self._in_flight = 0
        self._is_pressed = False
        self._response_ns = 0.0
        self._top = 0.0
        self._top_n = 0
        self._usual = 0.0
        self._n_slow = 0
        self._grow_above = 0
        self._grow_below = float("inf")
        self._grow_to = UNJUDGED_GROWTH * initial
        self._initial = initial
        self._swing = Swing()
        self._ring = Ring()
        self._phases = self._ring.phases
        self._phase = self._ring.newest
        self.pool = self._ring.pool
        self._is_led = False

    # -- hot path -------------------------------------------------------------

    def on_dispatch(self, now_ns: int, in_flight: int, is_bound: bool) -> int:
        """Note a request sent; return its phase."""
        phase = self._phase
        n_dispatched = phase.n_dispatched = phase.n_dispatched + 1
        phase.sent_sum_ns += now_ns
        if is_bound:
            phase.n_bound += 1
        if n_dispatched >= phase.n_target:
            self._close_phase(now_ns, in_flight)
        return phase.number

    def on_late(self, phase: int, late_ns: int) -> None:
        """Note that a request went out later than was noted."""
        cohort = self._phases[phase & 63]
        if cohort.number == phase and not cohort.is_judged:
            cohort.sent_sum_ns += late_ns

    def on_answer(
        self,
        now_ns: int,
        phase: int,
        dispatched_at_ns: int,
        in_flight_at_dispatch: int,
        in_flight: int,
    ) -> None:
        """Note the first byte of a normal answer."""
        self._overdue.n_answered += 1
        if in_flight_at_dispatch > self.refusals.top:
            self.refusals.top = in_flight_at_dispatch
        sample_ns = now_ns - dispatched_at_ns
        throughput = self._throughput
        throughput.n_answered += 1
        throughput.first_sum_ns += sample_ns
        cohort = self._phases[phase & 63]
        if cohort.number != phase or cohort.is_judged:
            return
        if sample_ns < FOLD_NS_MIN:
            sample_ns = FOLD_NS_MIN
        log_sample = log(float(sample_ns))  # of a float it is no call once compiled
        cohort.n_answered += 1
        cohort.sent_sum_ns -= dispatched_at_ns
        cohort.response_sum_ns += sample_ns
        cohort.log_sum += log_sample
        if log_sample > self._usual:
            cohort.n_slow += 1
            self._n_slow += 1
        else:
            self._n_slow = 0
        cohort.log_sq_sum += log_sample * log_sample
        cohort.in_flight_sum += in_flight_at_dispatch + in_flight
        if in_flight_at_dispatch > self._grow_above:
            self._grow(now_ns, log_sample, in_flight_at_dispatch)
        if cohort.n_answered == cohort.n_dispatched and cohort.closed_at_ns >= 0:
            self._judge_mature(now_ns)

    def on_depart(self, now_ns: int, held_ns: int, is_answered: bool) -> None:
        """Note a closed lease."""
        if is_answered:
            throughput = self._throughput
            throughput.n_departed += 1
            throughput.held_ns += held_ns
        else:
            self._ring.forget(now_ns - held_ns)

    def on_refused(self, now_ns: int, in_flight_at_dispatch: int) -> None:
        """Note that the upstream turned a call away for want of capacity."""
        if self.refusals.on_refused(now_ns, in_flight_at_dispatch):
            self.obey()

    def lift(self, now_ns: int) -> None:
        """Take note that what the upstream is short of is a rate, not places."""
        if self.refusals.lift(now_ns):
            self.obey()

    def disbelieve(self, now_ns: int) -> None:
        """Take note that the refusals spare some callers."""
        if self.refusals.disbelieve(now_ns):
            self.obey()

    def note_elsewhere(self, n_departed: int, held_ns: int) -> None:
        """Count answered calls that others sent to the endpoint, and how long they held it."""
        self._throughput.n_departed += n_departed
        self._throughput.held_ns += held_ns

    def follow(self, limit: int, level: float, has_knee: bool) -> int:
        """Take over what another limit of the same endpoint has found; return it, as bounded here.

        Until a knee has been met anywhere, our own answers may have proven more.
        """
        control = self._control
        control.has_knee = has_knee
        reached = level if has_knee else max(level, control.level)
        control.level = max(float(control.floor), min(reached, float(control.ceiling)))
        self._apply()
        bound = self.limit if self._overdue.is_stalled else control.ceiling
        return max(1, min(limit, bound))

    def step(self, now_ns: int, tag: int, kind: Kind) -> None:
        """Open the phase that the leader has open, and no other until told."""
        self._is_led = True
        self._end_phase(now_ns)
        self._begin_phase(now_ns, self._ring.open_led(kind, now_ns, tag))

    def lead(self) -> None:
        """Open phases by ourselves again."""
        if self._is_led:
            self._is_led = False
            self._phase.n_target = max(N_MIN, self._phase.n_dispatched + 1)

    @property
    def kind(self) -> Kind:
        """What the open phase is for."""
        return self._phase.kind

    @property
    def level(self) -> float:
        """Where the limit should stand; it swings around it."""
        return self._control.level

    @property
    def has_knee(self) -> bool:
        """Whether a queue has been met, ever."""
        return self._control.has_knee

    def obey(self) -> None:
        """Obey the ceiling that refusals have taught."""
        control = self._control
        control.ceiling = max(control.floor, min(self._ceiling, self.refusals.ceiling))
        control.level = min(control.level, float(control.ceiling))
        self._apply()

    # -- growth per answer ------------------------------------------------------

    def _grow(self, now_ns: int, log_sample: float, in_flight: int) -> None:
        """Let one more in for a normal answer, while no knee is known."""
        control = self._control
        self._top_n += 1
        self._top += max(TOP_GAIN, 1.0 / self._top_n) * (log_sample - self._top)
        if control.is_overdue:
            self._brake(now_ns)
        below = self._grow_below
        if self._top > below or log_sample > below or control.is_overdue:
            return
        if control.level >= self._grow_to:
            return
        if self._is_pressed or self._phase.n_bound:
            control.level = min(control.ceiling, control.level + 1.0)
        else:
            control.level = min(control.ceiling, max(control.level, 2.0 * in_flight))
        self.limit = int(control.level)
        self._grow_above = self.limit >> 1

    # -- phases -----------------------------------------------------------------

    def _close_phase(self, now_ns: int, in_flight: int) -> None:
        phase, ring = self._phase, self._ring
        if phase.opened_at_ns < 0:
            phase.opened_at_ns = now_ns
        control = self._control
        if ring.goes_on(now_ns, control.has_knee):
            return
        self._end_phase(now_ns)
        self._in_flight = in_flight
        kind = self._swing.next_kind(now_ns, phase.kind, self._is_pressed, control)
        n_waiting = in_flight * control.share
        phase = ring.open(kind, now_ns, n_waiting, control.has_knee, self._rng)
        self._begin_phase(now_ns, phase)

    def _end_phase(self, now_ns: int) -> None:
        self._phase.closed_at_ns = now_ns
        self._is_pressed = self._phase.is_bound
        if self._ring.is_full:
            self._judge(self._ring.take_oldest(), now_ns)

    def _begin_phase(self, now_ns: int, phase: Phase) -> None:
        self._phase = phase
        self._apply()
        self._judge_mature(now_ns)

    def _apply(self) -> None:
        """Set the limit that the level and the present phase give."""
        control = self._control
        limit = limit_in(self._phase.kind, control)
        self._usual = control.base.level + INFLATED
        if self._overdue.is_stalled and not control.has_knee:
            limit = min(limit, round(max(STALL_MIN, STALL_ROOM * control.proven)))
        self.limit = max(control.floor, min(control.ceiling, limit))
        if control.has_knee or control.is_inflated:
            self._grow_above = NEVER
        else:
            self._grow_above = self.limit >> 1
            self._grow_to = UNJUDGED_GROWTH * max(self._initial, control.proven)
            base = control.base
            if base.is_ready:
                margin = 2.5 * sqrt(control.spread * TOP_GAIN / (2.0 - TOP_GAIN) + base.variance)
                self._grow_below = base.level + max(margin, INFLATED)

    def _judge_mature(self, now_ns: int) -> None:
        while (phase := self._ring.take_mature(now_ns, self._response_ns)) is not None:
            self._judge(phase, now_ns)

    def _judge(self, phase: Phase, now_ns: int) -> None:
        if phase.n_answered == 0:
            return
        cohort = Cohort(phase, now_ns)
        self._response_ns = cohort.response_ns
        self._control.best_hz = self._throughput.best_hz
        self._control.rate_hz = self._throughput.rate_hz
        self._control.open_number = self._phase.number
        self._control.share = self._throughput.share
        self._control.is_shared = self.pool.is_on
        if self._control.share < 1.0:
            self._count_served(self._ring.unanswered(now_ns)[0])
        self._control.judge(cohort, now_ns)
        self._apply()

    # -- time -------------------------------------------------------------------

    def tick(self, now_ns: int, in_flight: int) -> None:
        """Close phases that are over by time, and judge those that are mature."""
        self._in_flight = in_flight
        throughput = self._throughput
        throughput.advance(now_ns, in_flight >= self.limit)
        if self.refusals.tick(now_ns, in_flight, self._overdue.n_answered):
            self.obey()
        phase = self._phase
        if phase.opened_at_ns < 0:
            phase.opened_at_ns = now_ns
        if phase.is_late(now_ns) and not self._is_led:
            self._close_phase(now_ns, in_flight)
        self._brake(now_ns)
        self._judge_mature(now_ns)

    def _brake(self, now_ns: int) -> None:
        """Forbid growth while answers are overdue; in a stall, fall back to what was proven."""
        control, overdue = self._control, self._overdue
        was_stalled = overdue.is_stalled
        n_unanswered, age_ns = self._ring.unanswered(now_ns)
        overdue.judge(now_ns, control.base, control.spread, n_unanswered, age_ns)
        control.is_overdue = overdue.is_overdue
        is_queued = overdue.is_overdue and self._n_slow >= N_SLOW_MIN
        if is_queued and control.share < 1.0 and not control.has_knee:
            self._count_served(n_unanswered)
            control.fall_to_served()
            self._apply()
        if overdue.is_stalled or was_stalled:
            self._apply()

    def _count_served(self, n_unanswered: int) -> None:
        """Tell the control what a service of streams works on, the queue left out."""
        control = self._control
        n_in_prefill = self._throughput.rate_hz * control.base.response_ns / NS_PER_S
        control.n_served = self._in_flight - n_unanswered + n_in_prefill

    @property
    def is_settled(self) -> bool:
        """Whether one late tick does what many on time would, while no call is sent."""
        return (
            self._ring.is_settled
            and not self._control.is_overdue
            and self._throughput.is_settled
            and self.refusals.is_settled
        )

    @property
    def is_stalled(self) -> bool:
        """Whether the endpoint answers hardly anything of what it has."""
        return self._overdue.is_stalled

    # -- what is known ------------------------------------------------------------

    def capacity_hz(self, now_ns: int) -> float:
        """Return what the endpoint can serve, requests per second; 0.0 if unknown."""
        return self.refusals.bound_hz(now_ns, self._throughput.capacity_hz(self.limit))

    def best_capacity_hz(self, now_ns: int) -> float:
        """Return the best known capacity; 0.0 if unknown."""
        best_hz = self._throughput.best_capacity_hz(self.limit, max(1.0, self._control.proven))
        return self.refusals.bound_best_hz(now_ns, best_hz, self._control.base.response_ns)

    def response_ns(self) -> int:
        """Return the mean response time of the last judged cohort; 0 if unknown."""
        return int(self._response_ns)

    def explain(self) -> dict[str, float | int | str]:
        """Return what the limit knows, for people."""
        return {
            "kind": "adaptive",
            "limit": self.limit,
            "phase": self._phase.kind.name.lower(),
            "response_s": self._response_ns * 1e-9,
            "departures_hz": self._throughput.rate_hz,
            **self._control.explain(),
            **self.refusals.explain(),
        }
