"""Crowds before several governors on a virtual clock."""

from __future__ import annotations

from dataclasses import replace

from bench.fleet.crowds import COLUMNS, HERD, NOISY, make_crowd, play


def test_a_crowd_is_the_same_again() -> None:
    """One seed, one course; every figure is there."""
    crowd = replace(NOISY, seconds=3.0)
    first = play(make_crowd(crowd, 1, 2))
    assert first == play(make_crowd(crowd, 1, 2))
    assert tuple(first) == COLUMNS
    assert 0.5 < first["busy"] <= 1.0


def test_a_full_service_refuses_and_its_callers_come_back() -> None:
    """With two places in its line and a herd before it, some are refused and none fails."""
    crowd = replace(HERD, seconds=7.0, queue_bound=2)
    found = play(make_crowd(crowd, 1, 2))
    assert found["refused"] > 0.0
    assert found["failed"] == 0.0


def test_a_herds_time_is_told_over_its_work() -> None:
    """Nobody is faster than the places that the others leave; a herd that is not done is late."""
    crowd = replace(HERD, seconds=7.5)
    simulation = make_crowd(crowd, 1, 1, is_shared=False)
    assert 0.9 < play(simulation)["herd_over_work"] < 1.5
    began_s, ended = next(iter(simulation.rounds.items()))
    simulation.rounds[began_s] = ended[1:]
    assert simulation.herd_over_work() > 1.5
