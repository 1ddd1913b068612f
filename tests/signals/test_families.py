"""The closed list of client families against the laws that the callers of the bench follow."""

from __future__ import annotations

from random import Random

import pytest

from governor.load.laws import LAWS, TRANSPORT, Failure
from signals.families import (
    BACKOFF_S,
    FAMILIES,
    N_ATTEMPTS,
    N_FAMILIES,
    OTHER,
    SCHEDULES,
    UNKNOWN,
    Schedule,
)

N_DRAWS = 1_000

CAPPED = {("envoy", 4), ("envoy", 5)}
"""Here the cap cuts the interval, so that the longest delay is drawn more often than others."""

by_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)


def draw(schedule: Schedule, attempt: int) -> list[float]:
    """Ask the law itself, after a failure that it retries."""
    law = LAWS[schedule.name.split()[0]]
    statuses = (429,) if "throttled" in schedule.name else (503, TRANSPORT)
    rng = Random(attempt)
    for status in statuses:
        delays = [law.delay(attempt - 1, rng, Failure(status)) for _ in range(N_DRAWS)]
        if None not in delays:
            return [delay for delay in delays if delay is not None]
    raise AssertionError(f"{schedule.name} retries after none of {statuses}")


@by_schedule
def test_the_intervals_are_those_of_the_law(schedule: Schedule) -> None:
    """Drawn delays lie within the interval, reach both its ends and are even in between."""
    for attempt, (low_s, high_s) in enumerate(schedule.intervals_s, start=1):
        delays = draw(schedule, attempt)
        width_s = high_s - low_s
        assert low_s - 1e-9 <= min(delays) <= low_s + 0.02 * width_s + 1e-9
        assert high_s + 1e-9 >= max(delays) >= high_s - 0.02 * width_s - 1e-9
        if (schedule.name, attempt) not in CAPPED:
            middle_s = (low_s + high_s) / 2
            assert sum(delays) / N_DRAWS == pytest.approx(middle_s, abs=0.05 * width_s + 1e-9)


@by_schedule
def test_the_number_of_retries_is_the_default(schedule: Schedule) -> None:
    """As the law says, but for google-genai, which retries only when asked to: then four times."""
    law = LAWS[schedule.name.split()[0]]
    assert schedule.n_retries == (law.max_retries if schedule.name != "google-genai" else 4)


def test_every_law_that_retries_has_a_schedule() -> None:
    """Anthropic's equals OpenAI's; what never retries needs none."""
    listed = {schedule.name.split()[0] for schedule in SCHEDULES}
    assert set(LAWS) - listed == {"anthropic", "requests", "mcp"}
    for attempt in range(N_ATTEMPTS):
        of = [
            LAWS[name].delay(attempt, Random(1), Failure(503)) for name in ("openai", "anthropic")
        ]
        assert of[0] == of[1]


def test_families_are_a_closed_list() -> None:
    """Each name once; each known family has its default law, the two others have none."""
    assert len(set(FAMILIES)) == len(FAMILIES) == len(BACKOFF_S) == N_FAMILIES
    unlisted = [family for family in range(N_FAMILIES) if BACKOFF_S[family] is None]
    assert unlisted == [UNKNOWN, OTHER]
    for schedule in SCHEDULES:
        default = next(other for other in SCHEDULES if other.family == schedule.family)
        assert BACKOFF_S[schedule.family] == default.intervals_s
