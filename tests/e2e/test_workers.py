"""Several processes on one port: they count as one, and one that dies is missed by nobody."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.governed import Governor, free_port
from tests.support.loops import wait_until
from tests.support.origin import Origin
from tests.support.origin_answers import ANSWERS
from tests.support.wire import WireClient


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """An origin of this module's own."""
    with closing(Origin(ANSWERS)) as origin:
        yield origin


def start(origin: Origin, n_workers: int = 2, **config: Any) -> Governor:
    """Start a governor whose upstream takes four calls at once."""
    config.setdefault("recorder", {"mode": "storm", "file": os.devnull})
    return Governor(
        {"origin": origin.url},
        upstream={"limit": 4},
        workers=n_workers,
        decision_headers="all",
        **config,
    )


def serving(governor: Governor) -> list[dict[str, Any]]:
    """Return the workers that serve."""
    return [x for x in governor.state()["workers"] if x["status"] == "serving"]


def spread(
    governor: Governor, origin: Origin, stack: ExitStack, n: int
) -> dict[int, list[WireClient]]:
    """Open connections until each worker has ``n``; return them by worker."""
    found: dict[int, list[WireClient]] = {x["worker"]: [] for x in serving(governor)}
    for number in range(200):
        if all(len(x) >= n for x in found.values()):
            break
        client = stack.enter_context(WireClient(governor.urls["origin"]))
        client.send(client.head("GET", b"/held?name=find-%d" % number))
        origin.wait_for_mark(f"find-{number}")
        (row,) = [x["worker"] for x in serving(governor) if x["in_flight"]]
        origin.open_gate(f"find-{number}")
        assert client.read_response().status == 200
        wait_until(lambda: not any(x["in_flight"] for x in serving(governor)), what="its end")
        found[row].append(client)
    return found


def test_a_worker_killed_in_a_storm_is_missed_by_nobody(origin: Origin) -> None:
    """Other connections live on, the books are true within a second, ready all along."""
    with start(origin) as governor, ExitStack() as stack:
        clients = spread(governor, origin, stack, 3)
        dying, living = clients
        for number, client in enumerate([*clients[dying][:2], *clients[living][:2]]):
            client.send(client.head("GET", b"/held?name=kill-%d" % number))
            origin.wait_for_mark(f"kill-{number}")
        for number, row in ((4, dying), (5, living)):
            clients[row][2].send(clients[row][2].head("GET", b"/held?name=kill-%d" % number))
        wait_until(lambda: upstream(governor)["line"]["length"] == 2, what="a line of two")
        (victim,) = [x for x in governor.state()["workers"] if x["worker"] == dying]
        os.kill(victim["pid"], signal.SIGKILL)
        since_s = time.monotonic()
        statuses = set()
        while not is_true(governor):
            statuses.add(governor.get("/healthz/ready")[0])
            assert time.monotonic() - since_s < 5.0
        took_s = time.monotonic() - since_s
        assert statuses <= {200}
        assert took_s < 1.5  # a second, and what this test takes to look
        origin.wait_for_mark("kill-5")  # a place of the dead was given to who waited elsewhere
        for number in (2, 3, 5):
            origin.open_gate(f"kill-{number}")
        for client in clients[living][:3]:
            assert client.read_response().status == 200
        wait_until(lambda: len(serving(governor)) == 2, what="a successor")
        for _ in range(4):
            with WireClient(governor.urls["origin"]) as fresh:
                assert fresh.request("GET", b"/echo").status == 200
        for number in range(6):
            origin.open_gate(f"kill-{number}")
        wait_until(lambda: upstream(governor)["in_flight"] == 0, what="an empty upstream")
        state = governor.state()
        assert [x["n_started"] for x in state["workers"]].count(2) == 1
        ledger = upstream(governor)["ledger"]
        assert all(n >= 0 for n in ledger["outcomes"].values())
        assert (ledger["outcomes"]["cancelled"], ledger["faults"]) == (2, 0)


def upstream(governor: Governor) -> dict[str, Any]:
    """Return what the state page says of the upstream."""
    found: dict[str, Any] = governor.state()["upstreams"]["origin"]
    return found


def is_true(governor: Governor) -> bool:
    """Whether the books hold what the living worker holds, and no more."""
    found = upstream(governor)
    return (found["in_flight"], found["line"]["length"]) == (3, 0)


def test_all_workers_count_log_and_explain_in_one_place(origin: Origin) -> None:
    """Counters are sums that no death lowers; a request of any worker can be looked up."""
    with start(origin, 3) as governor:
        ids = []
        for _ in range(12):
            with WireClient(governor.urls["origin"]) as client:
                answer = client.request("GET", b"/echo")
                assert answer.status == 200
                ids.append(answer.get(b"x-governor-request-id") or b"")
        assert len(set(ids)) == 12
        wait_until(lambda: governor.state()["proxy"]["n_requests"] == 12, what="the sum")
        wait_until(lambda: upstream(governor)["ledger"]["outcomes"]["completed"] == 12)
        for request_id in ids:
            status, body = governor.get(f"/explain?id={request_id.decode()}")
            assert status == 200
            assert b"completed" in body, body
        for worker in serving(governor):
            os.kill(worker["pid"], signal.SIGKILL)
        wait_until(lambda: all(x["n_started"] == 2 for x in serving(governor)), 10.0, "successors")
        wait_until(lambda: len(serving(governor)) == 3, 10.0, "all of them")
        wait_until(lambda: governor.state()["proxy"]["n_requests"] == 12, what="the same sum")
        metrics = governor.get("/metrics")[1].decode()
        assert 'governor_workers{status="serving"} 3.0' in metrics
        assert 'governor_worker_starts_total{worker="2"} 2.0' in metrics


def test_without_the_keeper_calls_go_on_and_the_next_one_knows_of_them(origin: Origin) -> None:
    """What is in flight is told to the next keeper; new calls go through meanwhile."""
    with start(origin) as governor, ExitStack() as stack:
        client = stack.enter_context(WireClient(governor.urls["origin"]))
        client.send(client.head("GET", b"/held?name=kept"))
        origin.wait_for_mark("kept")
        (keeper,) = set(children(governor.pid)) - {x["pid"] for x in serving(governor)}
        os.kill(keeper, signal.SIGKILL)
        with WireClient(governor.urls["origin"]) as other:
            assert other.request("GET", b"/echo").status == 200
        wait_until(lambda: governor.get("/healthz/ready")[0] == 200, 10.0, "the next keeper")
        wait_until(lambda: upstream(governor)["in_flight"] == 1, what="what is in flight")
        origin.open_gate("kept")
        assert client.read_response().status == 200
        wait_until(lambda: upstream(governor)["in_flight"] == 0, what="its end")
        assert upstream(governor)["ledger"]["faults"] == 0


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def test_no_child_outlives_a_killed_parent(origin: Origin) -> None:
    """The kernel tells them; what they have in flight they finish."""
    governor = start(origin)
    try:
        found = children(governor.pid)
        assert len(found) == 3
        governor.process.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in found), 10.0, "their end")
    finally:
        governor.kill()


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_signals_do_what_they_do_for_one_process(origin: Origin, tmp_path: Path) -> None:
    """SIGUSR1 writes the recording; a second SIGTERM ends what the first lets finish."""
    file = tmp_path / "run.rec"
    with (
        start(origin, recorder={"mode": "storm", "file": str(file)}) as governor,
        WireClient(governor.urls["origin"]) as client,
    ):
        assert client.request("GET", b"/echo").status == 200
        governor.process.send_signal(signal.SIGUSR1)
        wait_until(file.exists, what="the recording")
        client.send(client.head("GET", b"/held?name=never"))
        origin.wait_for_mark("never")
        since_s = time.monotonic()
        governor.terminate()
        wait_until(lambda: governor.get("/healthz/ready")[0] == 503, what="the drain")
        wait_until(is_refused_to(client), what="the end of listening")
        governor.terminate()
        assert governor.wait(10) == 0
        assert time.monotonic() - since_s < 9.0


def is_refused_to(client: WireClient) -> Callable[[], bool]:
    """Return whether a new connection is refused: workers have begun to drain."""
    address = client.socket.getpeername()

    def is_refused() -> bool:
        try:
            socket.create_connection(address, 5).close()
        except ConnectionRefusedError:
            return True
        return False

    return is_refused


def test_moves_and_refusals_are_asked_about_across_processes(origin: Origin) -> None:
    """Calls leave an endpoint that is not there; in a storm of refusals each gets a slot."""
    dead = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    with Governor(
        {"origin": origin.url},
        upstream={"endpoints": [dead, origin.url]},
        workers=2,
        decision_headers="all",
    ) as governor:
        reasons = set()
        for _ in range(12):
            with WireClient(governor.urls["origin"]) as client:
                answer = client.request("GET", b"/echo")
                assert answer.status == 200
                reasons.add(answer.get(b"x-governor-reason"))
        assert b"rerouted" in reasons
        slots = set()
        with WireClient(governor.urls["origin"]) as client:
            for _ in range(30):
                answer = client.request("GET", b"/status?code=429")
                assert answer.status == 429
                slots.add(answer.get(b"retry-after-ms"))
        assert slots - {None}
        assert upstream(governor)["refusals"]["slots_given"] >= 3
        assert governor.state()["proxy"]["n_faults"] == 0
