"""The sample's slots and faults, on a loop whose clock is made up."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Coroutine
from typing import Any

import pytest

from governor.sample.service import MAX_FAULT_S, FaultKind, Refused, Service


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the next timer instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def time(self) -> float:
        """Return the made-up instant."""
        return self.now_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now_s = max(self.now_s, self._scheduled[0].when())
        super()._run_once()


def play(script: Coroutine[Any, Any, float]) -> float:
    """Run a script on the virtual loop."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(script)
    finally:
        loop.close()


def now_s() -> float:
    """Return the loop's instant."""
    return asyncio.get_running_loop().time()


async def call(service: Service, seconds: float, ended: list[float] | None = None) -> None:
    """One request of a given service time."""
    async with service.slot():
        await service.work(seconds)
    if ended is not None:
        ended.append(now_s())


def test_slots_bound_what_is_in_service_and_serve_first_come_first_served() -> None:
    """Two slots and six calls of 1 s: they end in order, two per second."""

    async def script() -> float:
        service, ended = Service(n_slots=2), []
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(call(service, 1.0, ended))
            await asyncio.sleep(0.5)
            assert (service.n_in_service, service.n_waiting) == (2, 4)
        assert [round(at_s, 6) for at_s in ended] == [1, 1, 2, 2, 3, 3]
        assert (service.n_in_service, service.n_waiting, service.n_served) == (0, 0, 6)
        return now_s()

    assert play(script()) == pytest.approx(3.0)


@pytest.mark.parametrize(("kind", "ends_s"), [("stall", 5.0), ("slow", 4.6)])
def test_a_fault_slows_or_stops_all_work_for_its_time(kind: FaultKind, ends_s: float) -> None:
    """1 s of work, 4 s of stall: ends after 5 s; at a tenth of the speed 0.4 s are done."""

    async def script() -> float:
        service = Service()
        assert service.provoke(kind, 4.0) == 4.0
        await call(service, 1.0)
        return now_s()

    assert play(script()) == pytest.approx(ends_s, abs=0.06)


def test_a_service_that_refuses_takes_no_slot() -> None:
    """Under refuse a call fails at once; afterwards it works."""

    async def script() -> float:
        service = Service()
        service.provoke("refuse", 1.0)
        with pytest.raises(Refused):
            await call(service, 1.0)
        assert (service.n_in_service, service.n_waiting) == (0, 0)
        await asyncio.sleep(1.0)
        assert service.fault is None
        await call(service, 1.0)
        return now_s()

    assert play(script()) == pytest.approx(2.0)


def test_a_fault_is_bounded_and_can_be_ended() -> None:
    """No fault outlasts a minute; heal ends it at once."""

    async def script() -> float:
        service = Service()
        assert service.provoke("stall", 1e9) == MAX_FAULT_S
        assert service.fault == "stall"
        service.heal()
        assert service.fault is None
        return now_s()

    assert play(script()) == 0.0


def test_a_call_that_is_cancelled_gives_its_place_back() -> None:
    """Neither a slot nor a place in the queue leaks."""

    async def script() -> float:
        service = Service(n_slots=1)
        tasks = [asyncio.ensure_future(call(service, 9.0)) for _ in range(3)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (service.n_in_service, service.n_waiting) == (0, 0)
        await call(service, 1.0)
        return now_s()

    assert play(script()) == pytest.approx(1.1)


def test_service_times_have_the_mean_that_was_asked_for() -> None:
    """Lognormal with mean 0.1 s, the same under the same seed."""
    service = Service(mean_service_time_s=0.1, seed=3)
    drawn = [service.draw_service_time_s() for _ in range(20_000)]
    assert statistics.fmean(drawn) == pytest.approx(0.1, rel=0.03)
    again = Service(mean_service_time_s=0.1, seed=3)
    assert drawn[:5] == [again.draw_service_time_s() for _ in range(5)]
