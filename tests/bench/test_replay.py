"""The replay's driver, small, and its count of interventions."""

from __future__ import annotations

import asyncio

import pytest

from bench.children import HOST
from bench.replay import Way, added_ms, count_interventions, drive
from bench.replay_rows import Row
from bench.service.server import Connection, Service


async def test_every_row_is_sent_at_its_time_by_every_way() -> None:
    """Both ways get each call, and each takes at least its recorded time."""
    service = Service(0, 1.0, 0.0, 1, [])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    rows = [Row(float(n), f"a{n % 3}", "s", 2.0) for n in range(12)]
    shown: list[int] = []
    async with server:
        ways = [Way(port), Way(port)]
        await drive(rows, 100.0, ways, lambda n, _t: shown.append(n))
    assert shown[-1] == 12
    for way in ways:
        assert way.statuses == {200: 12}
        assert min(way.took_s.values()) >= 0.018
    assert len(added_ms(*ways)) == 12
    assert service.n_arrived == 24


async def test_a_dead_proxy_is_counted_not_raised() -> None:
    """Calls that get no reply have status 0."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    way = Way(port)
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
