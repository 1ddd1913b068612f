"""A storm from its first sign to its end, on a made-up time axis."""

from __future__ import annotations

from governor.control.dashboard.episodes import KEPT, QUIET_S, SPANS_MAX, Episodes
from governor.control.dashboard.rows import IN_STEP, SENT_AWAY, STORM, WAITING

LEVELS = {"arrivals_hz": 10.0, "waiting": 0.0, "in_flight": 1.0}


def play(signs: list[int], step_s: float = 0.5) -> Episodes:
    """Observe one sample a step."""
    episodes = Episodes()
    for n, sign in enumerate(signs):
        at_s = 100.0 + n * step_s
        episodes.observe("tools", at_s, at_s + step_s, sign, **{**LEVELS, "waiting": float(n)})
    return episodes


def test_waiting_alone_is_no_trouble() -> None:
    """A full upstream with a line, or one call sent away, opens nothing."""
    assert not play([WAITING, WAITING | SENT_AWAY, 0]).kept


def test_it_opens_with_the_first_sign_and_ends_with_the_last() -> None:
    """The end is when the last sign was seen, told once it has been quiet long enough."""
    quiet = int(QUIET_S / 0.5)
    signs = [0, IN_STEP, STORM | WAITING, WAITING] + [0] * (quiet - 1)
    (episode,) = play(signs).kept
    assert (episode.started_s, episode.ended_s) == (100.5, None)
    (episode,) = play([*signs, 0]).kept
    assert episode.ended_s == 102.0
    assert episode.describe()["spans"] == {
        "in_step": [[100.5, 101.0]],
        "storm_foreseen": [[101.0, 101.5]],
        "waiting": [[101.0, 102.0]],
    }


def test_a_sign_that_comes_back_before_the_quiet_is_the_same_storm() -> None:
    """Retries return after seconds; that is one storm with two spans."""
    (episode,) = play([STORM, 0, 0, 0, STORM]).kept
    assert list(episode.spans["storm_foreseen"]) == [[100.0, 100.5], [102.0, 102.5]]


def test_what_is_kept_is_bounded() -> None:
    """Days of flapping alarms keep a few episodes with a few spans each."""
    flapping = play([STORM, 0] * 500)
    assert len(flapping.kept[0].spans["storm_foreseen"]) == SPANS_MAX
    quiet = [0] * int(QUIET_S / 0.5)
    assert len(play([STORM, *quiet] * 20).kept) == KEPT
