"""The simulated service is the socket benchmark's, and refuses by name what it is not."""

from __future__ import annotations

import pytest

from bench.service.spec import ServiceSpec
from bench.simulate.clock import Agenda
from bench.simulate.service import Headers, NotSimulated, SimulatedService


def ask(service: SimulatedService, at_s: float, number: int, seen: list[tuple[float, int]]) -> None:
    """Send a request of one second."""

    def reply(now_s: float, status: int, headers: Headers) -> None:
        seen.append((now_s, status))

    service.accept(at_s, number, 1.0, reply)


def test_slots_line_and_faults_are_those_of_the_sockets() -> None:
    """One slot serves in turn; a fault slows what runs; the log tells arrival, start, end."""
    agenda = Agenda(100.0)
    spec = ServiceSpec(n_slots=1, faults=((0.5, 1.0, 0.5),))
    service = SimulatedService(agenda, spec, seed=1)
    seen: list[tuple[float, int]] = []
    for number in (0, 1):
        ask(service, 100.0, number, seen)
    assert service.n_inside == 2
    agenda.run(110.0)
    assert seen == [(101.5, 200), (102.5, 200)]
    assert [job[:4] for job in service.jobs] == [
        (0, 100.0, 100.0, 101.5),
        (1, 100.0, 101.5, 102.5),
    ]


def test_quota_and_full_line_refuse_at_once() -> None:
    """429 with the one Retry-After beyond the quota, 503 beyond the line."""
    agenda = Agenda(0.0)
    seen: list[tuple[float, int]] = []
    quota = SimulatedService(
        agenda, ServiceSpec(quota_hz=1.0, quota_depth=1.0, retry_after_s=3), seed=1
    )
    full = SimulatedService(agenda, ServiceSpec(n_slots=1, queue_bound=0), seed=1)
    for service in (quota, quota, full, full):
        ask(service, 0.0, 7, seen)
    assert seen == []  # a reply never comes back within the call
    agenda.run(0.0)
    assert seen == [(0.0, 429), (0.0, 503)]
    assert quota.refused == [(7, 0.0, 429)]


@pytest.mark.parametrize(
    "spec", [ServiceSpec(is_stream=True), ServiceSpec(dead=((1.0, 1.0),))], ids=["stream", "dead"]
)
def test_what_is_not_simulated_is_refused_by_name(spec: ServiceSpec) -> None:
    """Streams and deaths are not approximated."""
    with pytest.raises(NotSimulated, match="sockets only"):
        SimulatedService(Agenda(), spec, seed=1)
