"""From storms to tables: bounds, smallest sizes, claims; one storm end to end."""

from __future__ import annotations

import pytest

from bench.detect import picture, storm_cases
from bench.detect.base import Options
from bench.detect.callers import NEVER_S
from bench.detect.consumer import Watch, make_bank, values_of
from bench.detect.picture import draw, shoot
from bench.detect.simulation import Truth
from bench.detect.storm_cases import Case, Found, cases_alone, cases_overlaid, run_case
from bench.detect.storms import claims_of, list_misses, smallest, table_of_laws


def found(n: int, delay_s: float, before: tuple[str, ...] = ()) -> Found:
    """Return a run with one alarm."""
    delays_s = {} if delay_s == NEVER_S else {"cascade": delay_s, "load_shape: cascade": delay_s}
    return Found(Case("stall", "openai", n, 0.7, 1), delays_s, before, ())


def test_the_bound_is_back_off_patience_and_slack() -> None:
    """Only a stall waits for patience; the mix counts as its median member."""
    assert Case("crash", "vercel", 500, 0.7, 1).bound_s == pytest.approx(2.3)
    assert Case("stall", "openai", 500, 0.7, 1).bound_s == pytest.approx(2.8)
    assert Case("refuse", "mix", 500, 0.7, 1).bound_s == pytest.approx(0.8)
    assert not Case("refuse", "urllib3", 500, 0.7, 1).has_retries


def test_the_smallest_size_has_no_miss_above_it() -> None:
    """One missed run of a size rules out that size and all below."""
    runs = [found(20, 1.0), found(100, NEVER_S), found(100, 1.0), found(500, 1.0)]
    assert smallest(runs) == "500"
    assert smallest(runs[:2]) == "–"
    assert smallest([]) == "–"


def test_claims_count_what_is_late_early_or_missed() -> None:
    """A late detection fails the first claim, an early alarm its own."""
    runs = [found(500, 2.7), found(500, 2.9), found(2000, NEVER_S, ("cascade",)), found(20, 9.0)]
    rows = {what: (measured, met) for what, _, measured, met in claims_of(runs, [])}
    assert rows["storms alone, ≥ 500 agents"] == ("1 of 3", False)
    assert rows["verdict, storms alone"] == ("2 of 3 (cascade 2, mixed 0)", False)
    assert rows["alarms in the 40 s before, ≥ 500 agents"] == ("1 in 3 storms", False)
    assert rows["storms over recorded traffic, ≥ 500 agents"] == ("no traces", None)
    assert rows["alarms at the upstream that is well"] == ("0 in 4 storms", True)
    misses = list_misses(runs)
    assert misses.count("\n") == 1
    assert "never" in misses
    assert "| stall | openai | 1 of 3 | 2.80 |" in table_of_laws(runs)


def test_mixed_is_right_only_where_retries_stay_few() -> None:
    """A fleet that is small beside the other traffic makes a mixed load, not a cascade."""
    run = found(500, NEVER_S)._replace(delays_s={"load_shape: mixed": 1.0})
    assert not run.has_right_verdict
    assert run._replace(true_share=0.15).has_right_verdict
    truth = Truth()
    truth.arrival_rows = [(storm_cases.FAULT_S + 0.01 * k, 0, k % 4 == 0) for k in range(300)]
    assert storm_cases.measure_share(truth) == pytest.approx(0.25, abs=0.02)


def test_a_quick_grid_is_small_and_needs_no_traces() -> None:
    """Without recordings nothing is overlaid."""
    assert len(list(cases_alone(Options(quick=True)))) < 100
    assert list(cases_overlaid(Options(traces=None))) == []


def test_a_refusal_of_codex_callers_is_seen_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real signals see five hundred callers come back, at the right upstream, not before."""
    monkeypatch.setattr(storm_cases, "FAULT_S", 6.0)
    monkeypatch.setattr(storm_cases, "BEFORE_S", 4.0)
    monkeypatch.setattr(storm_cases, "AFTER_S", 0.5)
    run = run_case(Case("refuse", "codex", 500, 0.7, 1), Options())
    assert run.delay_s < 1.0
    assert run.before == run.elsewhere == ()


def test_a_watch_reads_what_the_bank_reads() -> None:
    """Unknown names are left out; readings that are not ready are 0."""
    bank = make_bank(8)
    bank.tick(0)
    watch = Watch(bank, ("cascade", "no_such_reading", "arrival_rate"))
    assert watch.names == ("cascade", "arrival_rate")
    for step in range(300):
        bank.observe_arrival(step * 10_000_000, 1, 1, 1, step)
    bank.tick(3_000_000_000)
    values = values_of(bank)
    assert watch.values() == [values["cascade"], values["arrival_rate"]]
    assert values["arrival_rate"] > 50.0


def test_a_film_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure has truth, capacity and readings."""
    monkeypatch.setattr(picture, "FAULT_S", 5.0)
    monkeypatch.setattr(picture, "UNTIL_S", 2.0)
    film = shoot("crash", 1, 200)
    names = {trace.name for trace in draw(film).data}
    assert {"fresh calls", "retries", "capacity", "retry share, last second"} <= names
