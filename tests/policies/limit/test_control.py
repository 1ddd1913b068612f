"""The control: what a judged cohort moves, and what it does not."""

from __future__ import annotations

from math import log

import pytest

from policies.limit.control import Control
from policies.limit.phases import Kind
from tests.policies.limit.feed import cohort, pressed_control

BASE = log(100e6)


def feed(control: Control, slope: float, shift: float, n_phases: int = 16) -> None:
    """Feed alternating phases around the level; ln R = base + shift + slope ln(n / level)."""
    knee = control.level
    for number in range(100, 100 + n_phases):
        is_high = number % 2 == 0
        n = control.level * (1.1 if is_high else 0.9)
        level = BASE + shift + slope * log(n / knee)
        kind = Kind.HIGH if is_high else Kind.LOW
        control.open_number = number
        control.judge(cohort(number, level=level, in_flight=n, kind=kind, n=128), number)


def test_slower_service_raises_the_base_and_keeps_the_limit() -> None:
    """Inflated and flat: fewer in flight would not help."""
    control = pressed_control(32.0, BASE)
    feed(control, slope=0.0, shift=log(3.0))
    assert control.level >= 31.0
    assert control.base.level == pytest.approx(BASE + log(3.0), abs=0.2)


def test_a_queue_lowers_the_limit() -> None:
    """Inflated and steep: fewer in flight helps."""
    control = pressed_control(32.0, BASE)
    feed(control, slope=1.0, shift=log(2.0), n_phases=10)
    assert control.level < 28.0
    assert control.base.level == pytest.approx(BASE, abs=0.05)


def test_inflation_alone_moves_nothing() -> None:
    """Suspicious without evidence of elasticity: ask, do not act."""
    control = pressed_control(32.0, BASE)
    for number in range(100, 106):
        inflated = cohort(number, level=BASE + log(2.0), in_flight=32.0, kind=Kind.LOW)
        control.judge(inflated, number)
    assert control.is_suspicious
    assert control.level == 32.0


def test_equal_answers_never_lower_the_limit() -> None:
    """All response times equal: growth or nothing."""
    control = pressed_control(32.0, BASE)
    feed(control, slope=0.0, shift=0.0)
    assert control.level >= 32.0


def test_overdue_answers_forbid_growth() -> None:
    """While answers are missing the calm of those that came proves nothing."""
    control = pressed_control(32.0, BASE)
    control.is_overdue = True
    feed(control, slope=0.0, shift=0.0)
    assert control.level == 32.0


def test_slack_never_lowers_the_limit() -> None:
    """Traffic that does not meet the limit cannot prove that it is too high."""
    control = Control(32, 1, 10_000)
    for number in range(20):
        level = BASE + log(1.0 + number)
        control.judge(cohort(number, level=level, in_flight=5.0, is_bound=False), number)
    assert control.level == 32.0


def test_slack_allows_twice_what_is_proven() -> None:
    """A normal cohort at n in flight proves n."""
    control = Control(32, 1, 10_000)
    for number in range(4):
        control.judge(cohort(number, level=BASE, in_flight=30.0, is_bound=False), number)
    assert control.level == pytest.approx(60.0)


def test_slack_allows_a_quarter_above_what_is_proven_once_a_knee_is_known() -> None:
    """A burst behind a cohort of slack raises its mean in flight, not what it proves."""
    control = pressed_control(26.0, BASE)
    for number in range(100, 104):
        control.judge(cohort(number, level=BASE, in_flight=24.0, is_bound=False), number)
    assert control.level == pytest.approx(30.0)


def test_one_inflated_cohort_does_not_end_the_start() -> None:
    """Two in a row do: one alone is noise."""
    control = Control(32, 1, 10_000)
    control.judge(cohort(0, level=BASE, in_flight=8.0, is_bound=False), 0)
    control.judge(cohort(1, level=BASE + 1.0, in_flight=32.0), 1)
    assert not control.has_knee
    control.judge(cohort(2, level=BASE + 1.0, in_flight=32.0), 2)
    assert control.has_knee
    assert control.level < 32.0


def test_a_wrong_fall_is_taken_back() -> None:
    """Throughput fell with the level: it is below the knee, and its answers are the base."""
    control = Control(120, 1, 10_000)
    control.judge(cohort(0, level=BASE, in_flight=10.0, is_bound=False), 0)
    slower = BASE + log(3.0)
    for number in (1, 2):
        queued = slower + log(120 / 40)
        control.judge(cohort(number, level=queued, in_flight=120.0, n=128), number)
    assert control.level < 35.0
    for number in range(3, 7):
        control.open_number = number
        n = min(control.level, 30.0)
        control.judge(cohort(number, level=slower, in_flight=n, kind=Kind.LOW, n=512), number)
        if control.verdict.startswith("fell"):
            break
    assert control.level == pytest.approx(40.0, rel=0.05)
    assert control.base.level == pytest.approx(slower, abs=0.05)


def test_a_short_cohort_after_a_queue_is_weighed_with_the_spread_without_one() -> None:
    """A queue hides the spread of answers; a few quick ones after it are no new base."""
    control = Control(32, 1, 10_000)
    for number in range(20):
        calm = cohort(number, level=BASE, in_flight=10.0, is_bound=False, spread=1.0)
        control.judge(calm, 0)
    control.has_knee = True
    for number in range(20, 60):
        queued = cohort(number, level=BASE + log(5.0), in_flight=32.0, n=72, spread=0.1)
        control.judge(queued, 0)
    assert control.spread < 0.15
    quick = cohort(60, level=BASE - 0.5, in_flight=9.0, kind=Kind.LOW, n=20, spread=0.5)
    control.judge(quick, 0)
    assert control.base.level > BASE - 0.1


@pytest.mark.parametrize(("n", "sinks"), [(16, False), (512, True)])
def test_calm_steps_down_need_an_elasticity_above_its_error(n: int, sinks: bool) -> None:
    """Low phases a little above the base: the same slope moves the level only if it is certain."""
    control = pressed_control(32.0, BASE)
    for number in range(100, 120):
        is_high = number % 2 == 0
        level = BASE + 0.16 + 0.8 * (0.06 if is_high else -0.06)
        in_flight = 32.0 * (1.06 if is_high else 0.94)
        kind = Kind.HIGH if is_high else Kind.STEADY
        swung = cohort(number, level=level, in_flight=in_flight, kind=kind, n=n, spread=0.9)
        control.open_number = number
        control.judge(swung, number)
    assert control.base.level == pytest.approx(BASE, abs=0.05)
    assert (control.level < 31.0) == sinks


@pytest.mark.parametrize("level", [1.0, 2.0])
def test_floor_and_ceiling_hold(level: float) -> None:
    """Whatever is judged, the level stays within its bounds."""
    control = pressed_control(level, BASE)
    control.ceiling = 3
    feed(control, slope=2.0, shift=2.0, n_phases=30)
    assert 1.0 <= control.level <= 3.0


@pytest.mark.parametrize(("is_shared", "level"), [(False, 18.0), (True, 24.0)])
def test_the_start_of_several_ends_at_what_all_had_in_flight(is_shared: bool, level: float) -> None:
    """48 in flight, twice as slow: 24 are served, though our own level had come to 36 only."""
    control = Control(36, 1, 1000)
    control.is_shared = is_shared
    control.judge(cohort(1, level=BASE, in_flight=6.0, n=64, is_bound=False), 1)
    for number in (2, 3):
        inflated = cohort(number, level=BASE + log(2.0), in_flight=48.0, n=64)
        control.level = 36.0
        control.judge(inflated, number)
    assert control.has_knee
    assert control.level == pytest.approx(level, rel=0.02)


def test_what_several_sent_before_a_fall_was_known_everywhere_tells_nothing_of_it() -> None:
    """Phases of before and after are no contrast: the elasticity of a queue that is gone."""
    control = pressed_control(32.0, BASE)
    control.is_shared = True
    control.open_number = 104
    control.wants_dip = False
    control._settled_from = 105
    feed(control, slope=1.0, shift=log(2.0), n_phases=5)
    assert control.elasticity.error == float("inf")
    assert control.level == 32.0
