"""What was asked against what was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bench.storm.base import Must
from bench.storm.herd import HERD
from bench.storm.verdict import judge, judge_all, peers_of, score


def cells(**values: Any) -> dict[tuple[str, int], dict[str, Any]]:
    """Return cells from ``peer=[value of seed 1, of seed 2, ...]`` of the quantity ``x``."""
    return {
        (peer.replace("_", "-"), seed): {"quantities": {"x": value}}
        for peer, each in values.items()
        for seed, value in enumerate(each, start=1)
    }


AT_MOST = Must("x ≤ 1", "x", "<=", 1.0)


def test_one_seed_beyond_the_bound_is_a_no() -> None:
    """The worst seed decides, and its value is shown."""
    found = judge(AT_MOST, cells(governor=[0.5, 1.2, 0.9]), "governor")
    assert (found.is_met, found.value) == (False, 1.2)
    assert judge(AT_MOST, cells(governor=[0.5, 1.0]), "governor").is_met is True
    at_least = Must("x ≥ 1", "x", ">=", 1.0)
    found = judge(at_least, cells(governor=[1.5, 0.9]), "governor")
    assert (found.is_met, found.value) == (False, 0.9)


def test_a_quantity_that_is_missing_or_infinite_is_not_met() -> None:
    """Not measured is not met; infinite is beyond every bound."""
    assert judge(AT_MOST, {("governor", 1): {"quantities": {}}}, "governor").is_met is False
    assert judge(AT_MOST, cells(governor=[math.inf]), "governor").is_met is False


def test_a_ratio_is_taken_with_the_same_seed_alone() -> None:
    """Each seed is held against its own run without the others; none there: not comparable."""
    must = Must("x ≤ 1.3 × alone", "x", "<=", 1.3, "alone")
    found = judge(must, cells(alone=[1.0, 2.0], governor=[1.2, 2.7]), "governor")
    assert (found.is_met, found.value, found.limit) == (False, 2.7, pytest.approx(2.6))
    assert judge(must, cells(alone=[1.0], governor=[1.3]), "governor").is_met is True
    assert judge(must, cells(governor=[1.3]), "governor").is_met is None
    assert judge(must, cells(alone=[1.0], governor=[1.2, 1.2]), "governor").is_met is None


def test_the_best_peer_is_the_best_of_the_others() -> None:
    """Neither itself nor Governor is a peer's rival; an infinite rival is no help."""
    must = Must("x ≤ best", "x", "<=", 1.0, "best")
    found = cells(direct=[math.inf], nginx=[4.0], governor=[3.0])
    assert judge(must, found, "governor").is_met is True
    assert judge(must, found, "nginx").limit == math.inf
    most = Must("x ≥ 99 % of best", "x", ">=", 0.99, "best")
    assert judge(most, cells(direct=[100.0], governor=[98.9]), "governor").is_met is False
    assert judge(most, cells(direct=[100.0], governor=[99.1]), "governor").is_met is True


def test_within_one_millisecond_of_direct() -> None:
    """A bound may be another's value and a little more."""
    must = Must("x within 1 ms", "x", "<=", 1.0, "direct", plus=0.001)
    assert judge(must, cells(direct=[0.2], governor=[0.2009]), "governor").is_met is True
    assert judge(must, cells(direct=[0.2], governor=[0.2011]), "governor").is_met is False


def test_the_score_counts_what_could_be_judged() -> None:
    """Two musts of which one is met; the pseudo-peer is no peer."""
    scenario = replace(HERD, musts=(AT_MOST, Must("", "x", ">=", 1.0)))
    found = cells(alone=[9.0], governor=[0.5])
    assert score(judge_all(scenario, found, "governor")) == "1 / 2"
    assert peers_of(found) == ["governor"]
    assert score([]) == "–"
