"""Readings in sentences: each verdict has words, and nothing is said that is not known."""

from __future__ import annotations

import random

import pytest

from governor.control.words import describe_propagation, describe_service, put_in_words
from signals import FAILED, Reading, SignalBank
from signals.propagation import ServiceRow
from signals.shape import SHAPES
from signals.state import NOT_IN_SIGHT_S

MS = 1_000_000
S = 1_000 * MS


def words_of(**values: float) -> str:
    """What is said when these readings are ready and all others are zero and not."""
    found = {r.name: r for r in SignalBank(2).read()}
    for name, value in values.items():
        assert name in found
        found[name] = Reading(name, value, found[name].unit, 9, True)
    return " ".join(put_in_words(found, "tenant-{}".format, "tree-{}".format))


def test_a_bank_that_has_seen_nothing_says_so() -> None:
    """No verdict is made up."""
    assert words_of() == "Nothing has been seen long enough to speak of."


@pytest.mark.parametrize("code", range(len(SHAPES)))
def test_every_shape_has_words(code: int) -> None:
    """The verdict, the rate and the share of retries."""
    text = words_of(load_shape=code, arrival_rate=120.0, retry_share=0.4, retrying_flows=30)
    assert "120 arrivals/s, 40% of them retries by 30 callers" in text


def test_a_storm_says_when_and_by_how_much() -> None:
    """Seconds to the crossing, excess and how many will be back."""
    text = words_of(storm_alarm=1, storm_crossing=0.84, storm_excess=53.0, storm_returns=140)
    assert text == (
        "Storm: in 0.8 s arrivals pass what can be served, by up to 53/s; "
        "140 failed calls will be back."
    )


def test_a_storm_that_ebbs_says_what_keeps_its_alarm_on() -> None:
    """No crossing is in sight: those who will be back, if any are, and else what comes anyway."""
    ebbing = {"storm_alarm": 1.0, "storm_crossing": NOT_IN_SIGHT_S, "capacity": 320.0}
    assert words_of(**ebbing).startswith(
        "Storm, ebbing: hardly any failed call is awaited, but what comes still passes "
        "the 320/s that can be served now and then; over after half a second in which it does not."
    )
    assert "40 failed calls will be back, and" in words_of(**ebbing, storm_returns=40.0)
    assert "0 failed calls" not in words_of(**ebbing)


def test_a_storm_that_is_here_says_so() -> None:
    """A crossing of now is no crossing in 0.0 s."""
    text = words_of(storm_alarm=1, storm_crossing=0.0, storm_excess=53.0, storm_returns=140)
    assert text.startswith("Storm: by now arrivals pass")


def test_saturation_is_said_with_its_error() -> None:
    """A lower bound is called one; the interval is given."""
    near = {"seconds_to_saturation": 12.0, "saturation_earliest": 9.0, "saturation_latest": 3600.0}
    assert words_of(capacity=107.0, **near) == (
        "It has served up to 107/s so far; demand passes that soon."
    )
    known = {"capacity": 107.0, "capacity_known": 1.0}
    assert words_of(**known, **near) == (
        "It can serve 107/s; saturated in 12 s (9 s to never, nine times in ten)."
    )
    assert words_of(**known) == "It can serve 107/s; saturation is not in sight."
    assert "is saturated: 0.4 s of waiting" in words_of(
        capacity=107.0, saturated=1.0, queueing_delay=0.4
    )


def test_callers_are_labels() -> None:
    """Trees and tenants by their salted labels."""
    text = words_of(
        fanout_exploding=2.0,
        fanout_tree=7,
        fanout_live=55,
        fanout_agents=12,
        contention=0.5,
        costliest_share=0.8,
        costliest_tenant=3,
    )
    assert "tree-7 and 1 more fans out: 55 calls open at once by 12 agents." in text
    assert "tenant-3 causes 80% of it" in text


def test_the_source_of_trouble_is_named_with_its_reach() -> None:
    """Its own time now and before, and whom it meets; else that there is none."""
    found = {r.name: r for r in SignalBank(2).read()}
    names = ["billing", "search"].__getitem__
    assert describe_propagation(
        {**found, "propagation_service": Reading("propagation_service", -1.0, "index", 0, False)},
        names,
    ) == ["No upstream is slower by itself than its own past."]
    told = {
        "propagation_service": 1.0,
        "propagation_kind": 1.0,
        "propagation_own_p90": 0.8,
        "propagation_past_p90": 0.18,
        "propagation_flows": 40.0,
    }
    for name, value in told.items():
        found[name] = Reading(name, value, "", 9, True)
    assert describe_propagation(found, names) == [
        "search is slow by itself: nine in ten calls take it up to 0.8 s of its own, "
        "0.18 s before. It is met by 40 flows, 0 tenants, 0 trees a minute."
    ]


def test_a_service_is_told_by_its_own_time() -> None:
    """Now and before; a shift that chance explains is no shift, an unknown past is no past."""
    risen = ServiceRow(1, 600, 0.3, 0.8, 0.1, 0.18, 1.2, 7.0, 9.2, 2.0)
    assert describe_service(risen) == (
        "Nine in ten calls take it up to 0.8 s of its own, 0.18 s before: "
        "9 times what chance explains."
    )
    assert describe_service(risen._replace(z90=2.0)).endswith("0.8 s of its own, as usual.")
    assert describe_service(risen._replace(past_p90=0.0)).endswith("not known yet.")
    assert describe_service(risen._replace(calls=0)) == "No call in the last minute."


def test_real_trouble_is_told_in_words() -> None:
    """Fifty callers fail and come back half a second later."""
    bank = SignalBank(128)
    rng = random.Random(1)
    now_ns = 0
    for step in range(600):
        now_ns += int(rng.expovariate(1 / (20 * MS)))
        call = bank.observe_arrival(now_ns, 1, 1 + step % 50, 1 + step % 50, step)
        bank.tick(now_ns + 5 * MS)
        bank.observe_end(now_ns + 5 * MS, call)
        now_ns += 5 * MS
    calls = [bank.observe_arrival(now_ns + n, 1, n, n, 7_000 + n) for n in range(1, 51)]
    for call in calls:
        bank.observe_end(now_ns + 5 * MS, call, FAILED)
    bank.tick(now_ns + 50 * MS)
    assert bank.culprits().n_pending == 50
    for flow in range(1, 51):
        bank.observe_arrival(now_ns + 500 * MS + flow * MS // 3, 1, flow, flow, 7_000 + flow)
    bank.tick(now_ns + 600 * MS)
    found = {r.name: r for r in bank.read()}
    text = " ".join(put_in_words(found, str, str))
    assert "Retrying callers act in step" in text
