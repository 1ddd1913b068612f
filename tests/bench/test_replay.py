"""The replay's driver, small, and its count of interventions."""

from __future__ import annotations

import pytest

from bench.replay import Way, added_ms, count_interventions, drive
from bench.replay_rows import Row
from bench.service.server import Service
from bench.service.spec import ServiceSpec
from tests.bench.support import Serve


async def test_every_row_is_sent_at_its_time_by_every_way(serve: Serve) -> None:
    """Both ways get each call, and each takes at least its recorded time."""
    service = Service(ServiceSpec(n_slots=0))
    port = await serve(service)
    rows = [Row(float(n), f"a{n % 3}", "s", 2.0) for n in range(12)]
    shown: list[int] = []
    ways = [Way(port), Way(port)]
    await drive(rows, 100.0, ways, lambda n, _t: shown.append(n))
    assert shown[-1] == 12
    for way in ways:
        assert way.statuses == {200: 12}
        assert min(way.took_s.values()) >= 0.018
    assert len(added_ms(*ways)) == 12
    assert service.n_arrived == 24


async def test_a_dead_proxy_is_counted_not_raised(dead_port: int) -> None:
    """Calls that get no reply have status 0."""
    way = Way(dead_port)
    await drive([Row(0.0, "a", "s", 0.0)], 1.0, [way], lambda _n, _t: None)
    assert way.statuses == {0: 1}


@pytest.mark.parametrize(
    ("counted", "logged", "expected"),
    [
        ({'governor_decisions_total{action="admit",reason="untouched",upstream="d"}': 9.0}, 0, 0),
        ({'governor_decisions_total{action="wait",reason="over_limit",upstream="d"}': 2.0}, 1, 2),
        ({}, 3, 3),
    ],
)
def test_interventions_are_all_but_untouched(
    counted: dict[str, float], logged: int, expected: int
) -> None:
    """The larger of Governor's counter and its log; exempt and untouched are none."""
    said = {"metrics": counted, "decisions": {"total": logged}}
    assert count_interventions(said) == expected
    assert count_interventions({}) == 0
