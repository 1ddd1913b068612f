"""The level: where the limit should stand, moved by one judged cohort at a time.

*Theory*: three regimes, told apart by whether the cohort met the limit.

- *slack* (it did not): the level stays at twice what has been proven (a quarter
  above it once a knee is known), and the base is taught; it falls only for two
  cohorts in a row of which hardly a call was answered in the usual time, with
  more in flight than ever was proven;
- *start* (it did, and no knee was ever seen): growth, until two cohorts in a
  row are inflated;
- *pressed* (it did, knee known): small steps to keep low phases just above the
  base. When they are inflated, elasticity arbitrates: a queue (go down) or a
  slower service (raise the base, keep the limit). Inflation alone moves
  nothing: 32 slots at a tenth of their speed still want 32 in flight.

*Source*: ours (a simulation study; ``python -m bench limit`` repeats it).
*Considered and rejected*: down on inflation without elasticity (one base estimate too low is never
repaired: 4 % of capacity); up without it (under processor sharing both ratchet up together).
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Final

from policies.limit.base import COHORT_VARIANCE, SPREAD_GAIN_MIN, Base
from policies.limit.elasticity import Elasticity, LowLevel
from policies.limit.phases import Cohort, Kind
from policies.limit.proof import Fall

SPREAD_START: Final = 0.6
"""Variance of ln R assumed before it is measured: between exponential and sigma 0.5."""

TARGET: Final = log(1.08)
"""Low phases may be 8 % above the base: less loses capacity to noise, more queues."""

INFLATED: Final = log(1.25)
"""A cohort less than 25 % above the base is never called inflated."""

SLACK_NORMAL: Final = log(1.2)
"""A slack cohort within 20 % of the base proves its number in flight."""

SLACK_DRIFT: Final = 0.02
"""Share of a lasting rise in slack that the base takes per cohort."""

STEP_MIN: Final = 0.06
STEP_GROWTH: Final = 1.6
STEP_MAX: Final = 1.0
"""Growth while calm: 6 %, times 1.6 at each repeat, at most a doubling."""

STEP_DOWN_MAX: Final = 0.03
"""Calm step down per cohort."""

SWING_CALM: Final = 0.06
SWING_MIN: Final = 0.10
SWING_MAX: Final = 0.25
"""Half-width of the swing: calm, and its bounds when suspicious."""

SLACK_ROOM: Final = 2.0
SLACK_ROOM_KNEE: Final = 1.0 + SWING_MAX
"""Room above what slack has proven: generous until a queue has been met, then as far as the limit
would swing to ask: a cohort that ends in a burst is answered in time, and counts its queue."""

STALE_PER_MOVE: Final = 7.0
"""Evidence fades by exp(-7 |d ln level|): a move of 10 % halves it."""

PROVEN_DECAY: Final = 0.998
"""Decay of the proven number in flight per cohort: half in 350."""

KNOWN_RISE: Final = log(1.5)
KNOWN_EXCESS: Final = 1.5
"""Answers 1.5 times slower and 1.5 times what best throughput needs: no need to ask."""

START_FALL_MIN: Final = 0.25
"""The end of the slow start keeps at least this share, however far it overshot."""

E_CALM: Final = 0.3
"""Elasticity below which a calm cohort may teach the base, and above which (and above its own
standard error) the level may sink: small steps on noise alone led all the way down."""


class Control:
    """Level, base and elasticity of one endpoint.

    Attributes
    ----------
    level : float
        Where the limit should stand; the swing is around it.
    has_knee : bool
        Whether a queue has been met, ever: ends the slow start.
    wants_dip : bool
        Whether the base may still be too high, so that a dip should come soon.
    is_overdue : bool
        Set by the owner: answers are overdue, so nothing may grow.
    n_served : float
        Set by the owner: calls past their first byte, and those that prefill beside them.
    is_shared : bool
        Set by the owner: others send calls as well, and until a knee is known by their own level.
    share : float
        Set by the owner: share of what is in flight that waits for its first byte, 1.0 unless
        answers hold their places long after it. All moves are relative to that part.
    """

    __slots__ = (
        *("_can_jump", "_fall_seen", "_has_fallen", "_n_inflated", "_n_spread"),
        *("_settled_from", "_step", "base", "best_hz", "ceiling", "elasticity", "floor"),
        *("has_knee", "is_high_inflated", "is_inflated", "is_overdue", "is_shared"),
        *("is_suspicious", "level", "low", "n_served", "open_number", "proven", "rate_hz"),
        *("share", "spread", "steep_at_ns", "verdict", "wants_dip"),
    )

    def __init__(self, initial: int, floor: int, ceiling: int) -> None:
        self.level = float(initial)
        self.floor = floor
        self.ceiling = ceiling
        self.base = Base()
        self.elasticity = Elasticity()
        self.low = LowLevel()
        self.spread = SPREAD_START
        self.has_knee = False
        self.is_overdue = False
        self.is_suspicious = False
        self.is_high_inflated = False
        self.is_inflated = False
        self.open_number = 0
        self.best_hz = 0.0
        self.rate_hz = 0.0
        self.n_served = 0.0
        self.is_shared = False
        self.share = 1.0
        self.steep_at_ns = 0
        self.verdict = "starting"
        self.wants_dip = True
        self._n_spread = 0
        self._n_inflated = 0
        self._step = STEP_MIN
        self._has_fallen = False
        self._settled_from = 0
        self.proven = 0.0
        self._can_jump = False
        self._fall_seen: Fall | None = None

    def explain(self) -> dict[str, float | int | str]:
        """Return what is known, for people."""
        return {
            "level": self.level,
            "verdict": self.verdict,
            "base_s": self.base.response_ns * 1e-9,
            "elasticity": self.elasticity.value,
            "elasticity_error": min(self.elasticity.error, 1e9),
            "spread": self.spread,
            "is_overdue": int(self.is_overdue),
        }

    # -- one cohort ---------------------------------------------------------

    def judge(self, cohort: Cohort, now_ns: int) -> None:
        """Learn from a mature cohort and move the level."""
        self._n_spread += 1
        gain = max(SPREAD_GAIN_MIN, 1.0 / (self._n_spread + 1))
        self.spread += gain * (cohort.spread - self.spread)
        error2 = max(self.spread, self.base.spread) / cohort.n + COHORT_VARIANCE
        if not self.base.is_ready:
            self._learn_base(cohort, error2)
        rise = cohort.level - self.base.level
        deviation = self.base.deviation(error2)
        self.is_inflated = rise > max(2.5 * deviation, INFLATED)
        self.proven *= PROVEN_DECAY
        if not cohort.is_bound:
            self._judge_slack(cohort, rise, deviation, error2)
        elif not self.has_knee:
            self._judge_start(cohort, error2)
        else:
            self._judge_pressed(cohort, rise, deviation, error2, now_ns)

    def _learn_base(self, cohort: Cohort, error2: float) -> None:
        self.base.learn(cohort.level, error2, cohort.response_ns)
        self.base.learn_spread(cohort.spread)

    def _judge_slack(self, cohort: Cohort, rise: float, deviation: float, error2: float) -> None:
        self.verdict = "slack"
        self.elasticity.restart()
        is_roomy = cohort.in_flight < 0.7 * self.level
        if rise < -3.0 * deviation or (is_roomy and rise < max(3.0 * deviation, 0.1)):
            self._learn_base(cohort, error2)
            self.base.is_proven = True
        elif is_roomy:
            self.base.shift(SLACK_DRIFT * rise)
        if rise <= max(deviation, SLACK_NORMAL):
            self.proven = max(self.proven, cohort.in_flight)
        if rise <= max(3.0 * deviation, SLACK_NORMAL):
            room = self._part(SLACK_ROOM_KNEE) if self.has_knee else SLACK_ROOM
            self._set_level(max(self.level, room * cohort.in_flight))
        is_queued = self.is_inflated and cohort.is_slow and cohort.in_flight > self.proven
        is_queued = is_queued and cohort.number >= self._settled_from
        self._n_inflated = self._n_inflated + 1 if is_queued else 0
        if self._n_inflated >= 2:
            self.verdict = "slack: a queue"
            self._n_inflated = 0
            self._end_start(cohort)

    def _judge_start(self, cohort: Cohort, error2: float) -> None:
        if not self.is_inflated:
            self.verdict = "starting"
            self._n_inflated = 0
            self.proven = max(self.proven, cohort.in_flight)
            self._learn_base(cohort, error2)
            return
        self.verdict = "starting: inflated"
        self._n_inflated += 1
        if self._n_inflated < 2:
            return
        self._end_start(cohort)

    def _end_start(self, cohort: Cohort) -> None:
        """Fall to where the cohort's queue would be gone (Little's law)."""
        self.has_knee = True
        if self.share < 1.0:
            self.fall_to_served()
            return
        keep = max(START_FALL_MIN, self.base.response_ns / cohort.response_ns)
        reached = cohort.in_flight if self.is_shared else min(self.level, cohort.in_flight)
        served = reached * keep
        self._move(min(self.level, max(served, self.proven)))
        self._note_fall(cohort)
        self._settled_from = self.open_number + 1

    def fall_to_served(self) -> None:
        """End the start of a service of streams at what it holds past the first byte."""
        self.has_knee = True
        self._n_inflated = 0
        self._move(min(self.level, self.n_served))
        self._settled_from = self.open_number + 1

    def _part(self, factor: float) -> float:
        """Return ``factor`` for the level, where it holds for what waits for its first byte."""
        return 1.0 + self.share * (factor - 1.0)

    def _judge_pressed(
        self, cohort: Cohort, rise: float, deviation: float, error2: float, now_ns: int
    ) -> None:
        base, elasticity = self.base, self.elasticity
        if self.is_shared and cohort.number < self._settled_from:
            elasticity.restart()
            return
        elasticity.learn(cohort, self.spread, self.share)
        if elasticity.is_steep:
            self.steep_at_ns = now_ns
        kind = cohort.kind
        if kind is Kind.DIP or kind is Kind.LOW or kind is Kind.STEADY:
            if rise < -3.0 * deviation or (kind is Kind.DIP and rise < 3.0 * deviation):
                self.wants_dip = kind is Kind.DIP and rise < -3.0 * deviation
                self._learn_base(cohort, error2)
                base.is_proven = True
            elif kind is Kind.LOW and not self.is_suspicious and rise < 3.0 * deviation:
                if elasticity.value < E_CALM:
                    self._learn_base(cohort, error2)
        if kind is Kind.HIGH or kind is Kind.REACH:
            self.is_high_inflated = self.is_inflated
            if kind is Kind.REACH and elasticity.is_flat and not self.is_high_inflated:
                self._grow_to(max(self.level, min(self._part(1.5) * self.level, cohort.in_flight)))
                return
        if cohort.number < self._settled_from:
            return
        if self._fall_seen is not None and self._check_fall(cohort):
            return
        if kind is Kind.LOW or kind is Kind.STEADY:
            self.low.learn(cohort, error2)
        if self.low.is_ready:
            self._steer(cohort)

    # -- pressed ------------------------------------------------------------

    def _steer(self, cohort: Cohort) -> None:
        base, elasticity, low = self.base, self.elasticity, self.low
        rise = low.level - base.level
        deviation = sqrt(low.error2 + base.variance)
        self.is_suspicious = rise > TARGET + 2.0 * deviation or not base.is_proven
        if self.is_suspicious:
            self._step = STEP_MIN
            known = self._known()
            is_beyond = self.level > self._part(KNOWN_EXCESS) * known > 0.0
            if is_beyond and rise > KNOWN_RISE + 2.0 * deviation:
                self.verdict = "beyond best throughput: down"
                self._settled_from = self.open_number + 1
                self._move(max(self._part(1.1) * known, 0.1 * self.level))
                self._note_fall(cohort)
            elif elasticity.is_steep:
                self._fall(cohort, rise, deviation)
            elif elasticity.is_flat:
                self.verdict = "slower service"
                base.shift(0.7 * rise)
                base.is_proven = True
                low.forget(0.0)
            else:
                self.verdict = "inflated: asking"
            return
        self._has_fallen = False
        if rise > TARGET:
            if elasticity.value >= max(E_CALM, elasticity.error):
                self.verdict = "calm: down"
                self._move(self.level * self._part(1.0 - min(STEP_DOWN_MAX, 0.5 * (rise - TARGET))))
            elif elasticity.is_flat:
                self.verdict = "calm: base up"
                base.shift(0.3 * rise)
            self._step = STEP_MIN
        elif elasticity.is_steep or self.is_high_inflated:
            self.verdict = "calm: at the knee"
            self._step = STEP_MIN
        elif not self.is_overdue:
            self.verdict = "calm: up"
            wanted = self.level * self._part(1.0 + self._step)
            if self._can_jump and self.proven > wanted:
                wanted = min(self.proven, 2.0 * self.level)
                self._can_jump = False
            self._grow_to(wanted)
            self._step = min(STEP_MAX, self._step * STEP_GROWTH)

    def _fall(self, cohort: Cohort, rise: float, deviation: float) -> None:
        self.verdict = "queue: down"
        low = self.low
        self._settled_from = self.open_number + 1
        if not self.base.is_proven:
            share = 0.8 if self._has_fallen else 0.9
            self._has_fallen = True
            self._move(self._part(share) * self.level)
            return
        floor = self._part(0.5 if self._has_fallen else 0.7) * self.level
        self._has_fallen = True
        keep = max(self.base.response_ns / low.response_ns, exp(-rise + deviation))
        self._move(min(self._part(0.95) * self.level, max(floor, low.in_flight * self._part(keep))))
        self._note_fall(cohort)
        low.forget(0.0)

    def _note_fall(self, cohort: Cohort) -> None:
        """Start to watch whether throughput falls with the level."""
        last = self._fall_seen
        self._can_jump = True
        self.elasticity.forget(0.0)
        self.low.forget(0.0)
        if self.share < 1.0:
            self._fall_seen = None  # places held after the first byte hide what throughput was
            return
        fall = Fall(cohort, self.rate_hz)
        self._fall_seen = last if last is not None and last.before_hz > fall.before_hz else fall

    def _check_fall(self, cohort: Cohort) -> bool:
        """Go back up if the last fall went below the knee; return whether it did."""
        fall = self._fall_seen
        assert fall is not None
        fall.learn(cohort)
        knee = fall.knee()
        if knee <= self.level:
            if fall.is_stale:
                self._fall_seen = None
            return False
        self.verdict = "fell below the knee: up"
        self.base.shift(fall.level - self.base.level)
        self.base.response_ns = fall.response_ns
        self.base.is_proven = True
        self._fall_seen = None
        self._has_fallen = False
        self._settled_from = self.open_number + 1
        self._set_level(knee)
        self.elasticity.forget(0.0)
        self.low.forget(0.0)
        return True

    def _known(self) -> float:
        """Return what was proven, or what best throughput needs in flight (Little)."""
        return max(self.proven, self.best_hz * self.base.response_ns * 1e-9 / self.share)

    # -- moves --------------------------------------------------------------

    def _grow_to(self, level: float) -> None:
        if not self.is_overdue:
            self._move(level)

    def _move(self, level: float) -> None:
        """Set the level; what was known about the old one fades with the distance."""
        before = self.level
        self._set_level(level)
        share = exp(-STALE_PER_MOVE * abs(log(self.level / before)) / self.share)
        self.elasticity.forget(share)
        self.low.forget(share)

    def _set_level(self, level: float) -> None:
        self.level = max(float(self.floor), min(float(self.ceiling), level))

    def swing(self) -> float:
        """Return the half-width of the swing that the present doubt asks for."""
        if not self.is_suspicious:
            return SWING_CALM
        if self.low.is_ready:
            rise = self.low.level - self.base.level
            if rise > log(1.5) + 2.0 * sqrt(self.low.error2 + self.base.variance):
                return SWING_MAX
        noise = 1.5 * sqrt(2.0 * self.spread / max(16.0, self.level))
        return max(SWING_MIN, min(SWING_MAX, noise))
