"""The adaptive in-flight limit of one endpoint: the hot path and the phases.

*Rule of this file*: what happens per request (a few additions and one
logarithm) and when a phase opens, closes and is judged. What a judged cohort
means is :mod:`policies.limit.control`'s.

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

from policies.limit.control import INFLATED, Control
from policies.limit.overdue import STALL_MIN, STALL_ROOM, Overdue
from policies.limit.phases import (
    FOLD_NS_MIN,
    N_MAX_START,
    N_MIN,
    N_MIN_LATE,
    N_MIN_START,
    N_YOUNG,
    PHASE_NS_MAX,
    Cohort,
    Kind,
    Phase,
    forget,
    unanswered,
)
from policies.limit.pool import Pool
from policies.limit.protocol import NS_PER_S
from policies.limit.refusals import NO_CEILING, Refusals
from policies.limit.swing import Swing, limit_in
from policies.limit.throughput import Throughput
from policies.xorshift import Xorshift

INITIAL = 32
"""Limit before anything is known."""

CEILING = 1 << 16
"""No endpoint of one proxy has more sockets."""

PHASE_NS_MIN = 20_000_000
"""Services that answer within a millisecond need no verdict more often than 50 times a second."""

N_MAX = 1 << 14
"""Unless time stands still: then numbers close a phase."""

N_RING = 64
"""Phases kept, a power of two; the oldest is judged as it is when the ring is full."""

UNJUDGED_GROWTH = 4.0
"""Answers alone may raise the limit to four times what a judged cohort has
proven, or four times the first limit."""

TOP_GAIN = 1.0 / 12.0
"""Gain of the running mean that brakes the growth per answer."""

N_SLOW_MIN = 8
"""So many answers in a row a quarter slower than usual: a queue delays all, a long tail a few."""

NEVER = 1 << 62
"""More than can be in flight."""


class AdaptiveLimit:
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
        "_ceiling",
        "_control",
        "_grow_above",
        "_grow_below",
        "_grow_to",
        "_in_flight",
        "_initial",
        "_is_led",
        "_is_pressed",
        "_n_slow",
        "_next_number",
        "_oldest",
        "_overdue",
        "_phase",
        "_refusals",
        "_response_ns",
        "_ring",
        "_rng",
        "_swing",
        "_throughput",
        "_top",
        "_top_n",
        "_usual",
        "limit",
        "pool",
    )

    def __init__(
        self, rng_seed: int, initial: int = INITIAL, floor: int = 1, ceiling: int = CEILING
    ) -> None:
        if not 1 <= floor <= initial <= ceiling:
            raise ValueError(
                f"need 1 <= floor <= initial <= ceiling, got {floor}, {initial}, {ceiling}"
            )
        self.limit = initial
        self._control = Control(initial, floor, ceiling)
        self._overdue = Overdue()
        self._throughput = Throughput()
        self._refusals = Refusals()
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
        self.pool = Pool()
        self._is_led = False
        self._next_number = 1
        self._oldest = 0
        self._phase = Phase(0, Kind.STEADY, 0, N_YOUNG[0])
        self._phase.opened_at_ns = -1
        self._ring: list[Phase] = [self._phase] * N_RING

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
        cohort = self._ring[phase & 63]
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
        if in_flight_at_dispatch > self._refusals.top:
            self._refusals.top = in_flight_at_dispatch
        sample_ns = now_ns - dispatched_at_ns
        throughput = self._throughput
        throughput.n_answered += 1
        throughput.first_sum_ns += sample_ns
        cohort = self._ring[phase & 63]
        if cohort.number != phase or cohort.is_judged:
            return
        if sample_ns < FOLD_NS_MIN:
            sample_ns = FOLD_NS_MIN
        log_sample = log(sample_ns)
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
            forget(self._ring, self._oldest, self._next_number - 1, now_ns - held_ns)

    def on_refused(self, now_ns: int, in_flight_at_dispatch: int) -> None:
        """Note that the upstream turned a call away for want of capacity."""
        if self._refusals.on_refused(now_ns, in_flight_at_dispatch):
            self._bound()

    def lift(self, now_ns: int) -> None:
        """Take note that what the upstream is short of is a rate, not places."""
        if self._refusals.lift(now_ns):
            self._bound()

    def disbelieve(self, now_ns: int) -> None:
        """Take note that the refusals spare some callers."""
        if self._refusals.disbelieve(now_ns):
            self._bound()

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
        self._open_phase(now_ns, kind, NEVER, tag)

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

    def _bound(self) -> None:
        """Obey the ceiling that refusals have taught."""
        control = self._control
        control.ceiling = max(control.floor, min(self._ceiling, self._refusals.ceiling))
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
        phase = self._phase
        if phase.opened_at_ns < 0:
            phase.opened_at_ns = now_ns
        pool = self.pool
        is_pooled = pool.is_on and self._control.has_knee
        phase_ns = max(PHASE_NS_MIN, pool.phase_ns if is_pooled else 0)
        is_short = now_ns - phase.opened_at_ns < phase_ns and phase.n_dispatched < N_MAX
        if is_short and phase.number >= len(N_YOUNG):
            phase.n_target += phase.n_target >> 2 if is_pooled else phase.n_target
            return
        self._end_phase(now_ns)
        self._in_flight = in_flight
        kind = self._swing.next_kind(now_ns, phase.kind, self._is_pressed, self._control)
        if self._next_number < len(N_YOUNG):
            n_target = N_YOUNG[self._next_number]
        else:
            is_starting = not self._control.has_knee
            n_waiting = in_flight * self._control.share
            if is_starting:
                n = min(max(N_MIN_START, n_waiting), N_MAX_START)
            else:
                n = max(N_MIN, 2.0 * n_waiting)
            n_target = int(n * (0.85 + 0.3 * self._rng.random()))
            if is_pooled:
                n_target = max(N_MIN_START, int(n_target * pool.part))
        self._open_phase(now_ns, kind, n_target, pool.tag + 1)

    def _end_phase(self, now_ns: int) -> None:
        phase = self._phase
        phase.closed_at_ns = now_ns
        self._is_pressed = phase.is_bound
        if self._next_number - self._oldest >= N_RING:
            self._judge_oldest(now_ns)

    def _open_phase(self, now_ns: int, kind: Kind, n_target: int, tag: int) -> None:
        number = self._next_number
        self._next_number = number + 1
        self._phase = self._ring[number & 63] = Phase(number, kind, now_ns, n_target)
        self.pool.open(self._phase, tag)
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
        while self._oldest < self._next_number - 1:
            phase = self._ring[self._oldest & 63]
            if phase.n_dispatched and not self._is_mature(now_ns, phase):
                return
            self._judge_oldest(now_ns)

    def _is_mature(self, now_ns: int, phase: Phase) -> bool:
        pool = self.pool
        if not pool.is_on:
            return phase.is_mature(now_ns, self._response_ns)
        if not pool.is_heard(now_ns, phase):
            return False
        return pool.whole(phase).is_mature(now_ns, self._response_ns)

    def _judge_oldest(self, now_ns: int) -> None:
        phase = self._ring[self._oldest & 63]
        whole = self.pool.whole(phase)
        phase.is_judged = True
        self._oldest += 1
        if whole.n_answered == 0:
            return
        cohort = Cohort(whole, now_ns)
        self._response_ns = cohort.response_ns
        self._control.best_hz = self._throughput.best_hz
        self._control.rate_hz = self._throughput.rate_hz
        self._control.open_number = self._phase.number
        self._control.share = self._throughput.share
        if self._control.share < 1.0:
            self._count_served(unanswered(self._ring, self._oldest, self._next_number)[0])
        self._control.judge(cohort, now_ns)
        self._apply()

    # -- time -------------------------------------------------------------------

    def tick(self, now_ns: int, in_flight: int) -> None:
        """Close phases that are over by time, and judge those that are mature."""
        self._in_flight = in_flight
        throughput = self._throughput
        throughput.advance(now_ns, in_flight >= self.limit)
        if self._refusals.tick(now_ns, in_flight, self._overdue.n_answered):
            self._bound()
        phase = self._phase
        if phase.opened_at_ns < 0:
            phase.opened_at_ns = now_ns
        age_ns = now_ns - phase.opened_at_ns
        if phase.n_dispatched >= N_MIN_LATE and age_ns >= PHASE_NS_MAX and not self._is_led:
            self._close_phase(now_ns, in_flight)
        self._brake(now_ns)
        self._judge_mature(now_ns)

    def _brake(self, now_ns: int) -> None:
        """Forbid growth while answers are overdue; in a stall, fall back to what was proven."""
        control, overdue = self._control, self._overdue
        was_stalled = overdue.is_stalled
        n_unanswered, sent_sum_ns = unanswered(self._ring, self._oldest, self._next_number)
        age_ns = now_ns - sent_sum_ns / n_unanswered if n_unanswered else 0.0
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
        phase, newest = self._phase, self._next_number - 1
        return (
            phase.opened_at_ns >= 0
            and phase.n_dispatched < N_MIN_LATE
            and phase.n_answered == phase.n_dispatched
            and self._oldest == newest
            and not self._control.is_overdue
            and self._throughput.is_settled
            and self._refusals.is_settled
        )

    @property
    def is_stalled(self) -> bool:
        """Whether the endpoint answers hardly anything of what it has."""
        return self._overdue.is_stalled

    # -- what is known ------------------------------------------------------------

    def capacity_hz(self, now_ns: int) -> float:
        """Return what the endpoint can serve, requests per second; 0.0 if unknown."""
        return self._refusals.bound_hz(now_ns, self._throughput.capacity_hz(self.limit))

    def best_capacity_hz(self, now_ns: int) -> float:
        """Return the best known capacity; 0.0 if unknown."""
        best_hz = self._throughput.best_capacity_hz(self.limit, max(1.0, self._control.proven))
        base_ns = self._control.base.response_ns
        if self._refusals.ceiling != NO_CEILING and base_ns > 0.0:
            # What it was believed to serve before it refused says nothing any more.
            best_hz = min(best_hz, self._refusals.ceiling * NS_PER_S / base_ns)
        return self._refusals.bound_hz(now_ns, best_hz)

    def response_ns(self) -> int:
        """Return the mean response time of the last judged cohort; 0 if unknown."""
        return int(self._response_ns)

    def explain(self) -> dict[str, float | int | str]:
        """Return what the limit knows, for people."""
        control = self._control
        base = control.base
        return {
            "kind": "adaptive",
            "limit": self.limit,
            "level": control.level,
            "phase": self._phase.kind.name.lower(),
            "verdict": control.verdict,
            "base_s": base.response_ns * 1e-9,
            "response_s": self._response_ns * 1e-9,
            "elasticity": control.elasticity.value,
            "elasticity_error": min(control.elasticity.error, 1e9),
            "spread": control.spread,
            "departures_hz": self._throughput.rate_hz,
            "is_overdue": int(control.is_overdue),
            **self._refusals.explain(),
        }
