"""The fleet on sockets: every shape, patience, retries, and what the record says of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from governor.load.files import allow_files
from governor.load.fleet import Progress, run
from governor.load.plan import (
    Closed,
    Demand,
    Fanout,
    Group,
    Herd,
    Open,
    Plan,
    Ramp,
    Shape,
    plan_to_json,
)
from governor.load.record import BROKEN, NOT_CONNECTED, TIMED_OUT, record_from_json
from tests.load.conftest import OK, Seen, Start

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"


def group(shape: Shape, n_agents: int = 10, **changes: Any) -> Group:
    """Return a group of some agents."""
    return Group("agents", n_agents, shape, **changes)


def plan(url: str, *groups: Group, seconds: float = 0.3, **changes: Any) -> Plan:
    """Return a short plan."""
    values: dict[str, Any] = {"drain_s": 3.0, "seed": 1, **changes}
    return Plan((url,), groups, seconds, **values)


async def test_a_calm_service_gets_one_attempt_a_task(origin: Start) -> None:
    """With room for all every task is done at once, and the record says so."""
    service = await origin(lambda _: OK)
    record = await run(plan(service.url, group(Closed(0.03))))
    tasks, attempts = record["tasks"], record["attempts"]
    assert len(tasks["is_done"]) == len(attempts["task"]) == len(service.seen) > 20
    assert tasks["is_done"].all()
    assert (tasks["attempts"] == 1).all()
    assert (attempts["status"] == 200).all()
    assert (attempts["began_s"] <= attempts["first_byte_s"]).all()
    assert (attempts["first_byte_s"] <= attempts["ended_s"]).all()
    assert record["cpu_s"] > 0
    assert 0 <= record["late_s"]["p50"] <= record["late_s"]["p99"] <= record["late_s"]["max"]


async def test_agents_keep_their_connection(origin: Start) -> None:
    """An agent calls again on the connection that it has; no two share one."""
    service = await origin(lambda _: OK)
    record = await run(plan(service.url, group(Closed(0.02), 3)))
    assert len(service.connections) == 3 < len(record["tasks"]["agent"])


async def test_what_the_service_refuses_is_tried_again_when_it_says(origin: Start) -> None:
    """A refusal with Retry-After-Ms is repeated after just that time, marked, and noted."""
    refusal = b"HTTP/1.1 429 No\r\nretry-after-ms: 50\r\ncontent-length: 0\r\n\r\n"

    def answer(request: Seen) -> bytes:
        return refusal if request.headers["x-stainless-retry-count"] == "0" else OK

    service = await origin(answer)
    record = await run(plan(service.url, group(Herd(0.1, 0.0), 4), seconds=0.15))
    attempts = record["attempts"]
    assert record["tasks"]["attempts"].tolist() == [2] * 4
    assert sorted(attempts["status"]) == [200] * 4 + [429] * 4
    assert sorted(attempts["retry_after_s"]) == [-1.0] * 4 + [0.05] * 4
    for task in range(4):
        first, second = np.flatnonzero(attempts["task"] == task)
        assert attempts["began_s"][second] - attempts["ended_s"][first] >= 0.049


async def test_callers_that_lose_patience_leave_and_call_again(origin: Start) -> None:
    """A time-out closes the connection under the request; the law decides what follows."""
    service = await origin(lambda _: None)
    slow = group(Herd(0.05, 0.0), 3, client="urllib3", max_retries=2, timeout_s=0.05)
    record = await run(plan(service.url, slow, seconds=0.08))
    assert record["tasks"]["attempts"].tolist() == [3] * 3
    assert not record["tasks"]["is_done"].any()
    assert (record["attempts"]["status"] == 0).all()
    assert (record["attempts"]["loss"] == TIMED_OUT).all()
    assert len(service.connections) == 9


async def test_the_three_ways_to_get_no_answer_are_told_apart(origin: Start, dead_url: str) -> None:
    """Nobody there, and broken under the request, are losses of their own kind."""
    broken = await origin(lambda _: b"")
    once = group(Herd(0.02, 0.0), 2, client="requests")
    for url, loss in ((broken.url, BROKEN), (dead_url, NOT_CONNECTED)):
        record = await run(plan(url, once, seconds=0.03))
        assert record["attempts"]["loss"].tolist() == [loss] * 2
        assert record["attempts"]["status"].tolist() == [0, 0]


async def test_a_stream_is_timed_to_its_first_byte(origin: Start) -> None:
    """Patience ends with the first byte; the task ends with the stream."""
    loop = asyncio.get_running_loop()

    def answer(request: Seen) -> bytes:
        transport = service.connections[request.connection].transport
        loop.call_later(0.3, transport.write, b"0\r\n\r\n")
        return STREAM

    service = await origin(answer)
    streams = group(Herd(0.02, 0.0), 2, is_stream=True, timeout_s=0.15, max_retries=0)
    record = await run(plan(service.url, streams, seconds=0.03))
    attempts = record["attempts"]
    assert record["tasks"]["is_done"].all()
    assert (attempts["first_byte_s"] - attempts["began_s"] < 0.15).all()
    assert (attempts["ended_s"] - attempts["began_s"] > 0.25).all()


@pytest.mark.parametrize(
    ("reply", "is_done"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", False),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, True),
        (b"nonsense\r\n\r\n", False),
    ],
)
async def test_a_reply_is_whole_or_lost(origin: Start, reply: bytes, is_done: bool) -> None:
    """A connection's end completes a reply without length, and breaks any other."""
    loop = asyncio.get_running_loop()

    def answer(request: Seen) -> bytes:
        loop.call_later(0.05, service.connections[request.connection].transport.close)
        return reply

    service = await origin(answer)
    once = group(Herd(0.02, 0.0), 1, client="requests")
    record = await run(plan(service.url, once, seconds=0.03))
    assert record["tasks"]["is_done"].tolist() == [is_done]


async def test_an_open_model_does_not_wait_for_answers(origin: Start) -> None:
    """Tasks keep coming while none is answered; agents take them in turn."""
    service = await origin(lambda _: None)
    record = await run(plan(service.url, group(Open(100.0), 5), drain_s=0.0))
    assert len(record["tasks"]["agent"]) > 12
    assert record["tasks"]["agent"].tolist()[:7] == [0, 1, 2, 3, 4, 0, 1]
    assert (record["tasks"]["ended_s"] == -1).all()
    assert (record["attempts"]["status"] == -1).all()


async def test_a_ramp_begins_where_its_rate_begins(origin: Start) -> None:
    """While the rate is nought nobody calls."""
    service = await origin(lambda _: OK)
    ramp = Ramp(((0.0, 0.0), (0.2, 0.0), (0.2, 200.0)))
    record = await run(plan(service.url, group(ramp)))
    assert len(record["tasks"]["agent"]) > 5
    assert (record["tasks"]["began_s"] - record["began_s"] >= 0.2).all()


async def test_a_busy_agent_skips_the_next_herd(origin: Start) -> None:
    """A herd is as large as the agents that are free."""
    service = await origin(lambda _: None)
    patient = group(Herd(0.05, 0.01), 6, timeout_s=10.0)
    record = await run(plan(service.url, patient, drain_s=0.0))
    assert sorted(record["tasks"]["agent"]) == list(range(6))


async def test_a_fan_out_is_a_tree_with_all_its_calls(origin: Start) -> None:
    """Root, children and grandchildren come after each other, in one tree, on own connections."""
    service = await origin(lambda _: OK)
    planners = group(Fanout((1, 4, 12), 0.05), 2, client="claude-code", key="k")
    record = await run(plan(service.url, planners, seconds=0.06))
    tasks = record["tasks"]
    trees = Counter(tasks["tree"].tolist())
    assert set(trees.values()) == {17}
    for tree in trees:
        mine = tasks["tree"] == tree
        assert Counter(tasks["level"][mine].tolist()) == {0: 1, 1: 4, 2: 12}
        root_ended_s = tasks["ended_s"][mine & (tasks["level"] == 0)][0]
        assert (tasks["began_s"][mine & (tasks["level"] == 1)] >= root_ended_s).all()
    by_trace = defaultdict(list)
    for request in service.seen:
        by_trace[request.headers["traceparent"][3:35]].append(request)
    assert len(by_trace) == len(trees)
    for requests in by_trace.values():
        named = [r.headers.get("x-claude-code-agent-id") for r in requests]
        assert len(set(named)) == 17
        assert len({r.headers["x-claude-code-session-id"] for r in requests}) == 1
        assert len({r.connection for r in requests}) == 17


async def test_a_failed_call_has_no_children(origin: Start) -> None:
    """What gets no answer begins nothing further."""
    service = await origin(lambda _: b"HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n")
    record = await run(plan(service.url, group(Fanout((1, 3), 0.05), 1), seconds=0.1))
    assert set(record["tasks"]["level"].tolist()) == {0}


async def test_the_same_seed_asks_for_the_same(origin: Start) -> None:
    """Fresh tasks and demands are the same in every run, whatever the answers are."""
    records = []
    for answer in (OK, b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"):
        service = await origin(lambda _, reply=answer: reply)  # type: ignore[misc]
        asked = group(Open(60.0), 5, demand=Demand(0.01), max_retries=0)
        records.append(await run(plan(service.url, asked)))
    first, second = (record["tasks"] for record in records)
    assert first["demand_s"].tolist() == second["demand_s"].tolist()
    due = [r["tasks"]["began_s"] - r["began_s"] for r in records]
    assert due[0] == pytest.approx(due[1], abs=1e-6)


async def test_a_demand_is_the_same_for_all_attempts(origin: Start) -> None:
    """Retries ask for what the task asked for."""
    refusal = b"HTTP/1.1 429 No\r\nretry-after-ms: 5\r\ncontent-length: 0\r\n\r\n"
    service = await origin(lambda _: refusal)
    asked = group(Herd(0.02, 0.0), 3, demand=Demand(0.01))
    await run(plan(service.url, asked, seconds=0.03))
    told = Counter(request.headers["x-bench-demand-s"] for request in service.seen)
    assert sorted(told.values()) == [3, 3, 3]


async def test_agents_take_the_targets_in_turn(origin: Start) -> None:
    """With two targets every other agent calls the second; pairs do the same on each."""
    one, two = await origin(lambda _: OK), await origin(lambda _: OK)
    asked = group(Open(80.0), 4, demand=Demand(0.01))
    both = Plan((one.url, two.url), (asked,), 0.3, 2.0, 1, is_paired=True)
    record = await run(both)
    tasks = record["tasks"]
    assert (tasks["target"] == tasks["agent"] % 2).all()
    assert len(one.seen) == len(two.seen) > 3
    demands = [tasks["demand_s"][tasks["target"] == target].tolist() for target in (0, 1)]
    assert demands[0] == demands[1]


async def test_attempts_carry_their_number_if_asked(origin: Start) -> None:
    """A numbered plan lets a service's log be joined with the record."""
    service = await origin(lambda _: OK)
    asked = group(Herd(0.02, 0.0), 3)
    await run(plan(service.url, asked, seconds=0.03, is_numbered=True))
    assert sorted(int(r.headers["x-bench-id"]) for r in service.seen) == [0, 1, 2]


async def test_a_stopped_run_ends_at_once(origin: Start) -> None:
    """Setting the event ends a run early and leaves what is open open."""
    service = await origin(lambda _: None)
    stop = asyncio.Event()
    told: list[Progress] = []

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        if progress.n_open:
            stop.set()

    long = plan(service.url, group(Closed(0.01), 3), seconds=600.0)
    record = await asyncio.wait_for(run(long, on_progress, stop), 20)
    assert (record["tasks"]["ended_s"] == -1).all()
    assert told[-1].n_open == told[-1].n_tasks
    while service.n_open:
        await asyncio.sleep(0.001)


def test_more_agents_than_files_are_refused() -> None:
    """A fleet that could not connect says so before it begins."""
    with pytest.raises(OSError, match="ulimit"):
        allow_files(1 << 40)


async def test_a_fleet_runs_as_a_process(origin: Start, tmp_path: Path) -> None:
    """``python -m governor.load PLAN OUT`` writes the record and tells its progress."""
    service = await origin(lambda _: OK)
    (tmp_path / "plan.json").write_bytes(plan_to_json(plan(service.url, group(Closed(0.05), 3))))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "governor.load", tmp_path / "plan.json", tmp_path / "out.json", "--child"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    lines = (await asyncio.wait_for(child.stdout.read(), 60)).splitlines()
    assert await child.wait() == 0
    assert json.loads(lines[0]).keys() == Progress.__annotations__.keys()
    record = record_from_json((tmp_path / "out.json").read_bytes())
    assert record["tasks"]["is_done"].all()
    assert record["groups"] == ["agents"]


def test_a_bad_plan_is_told_and_not_run(tmp_path: Path) -> None:
    """The process ends with 2 and names the file and the field."""
    bad = tmp_path / "plan.json"
    bad.write_text('{"targets": [], "groups": [], "seconds": 1, "drain_s": 1, "seed": 1}')
    done = subprocess.run(
        [sys.executable, "-m", "governor.load", bad, tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "targets" in done.stderr


async def test_an_mcp_agent_opens_a_session_before_its_first_call(origin: Start) -> None:
    """Initialize, initialized, then calls with the session that the service named; once each."""
    numbers = itertools.count(1)

    def answer(request: Seen) -> bytes:
        if b'"initialize"' in request.body:
            return OK.replace(b"\r\n", b"\r\nMcp-Session-Id: s%d\r\n" % next(numbers), 1)
        return OK

    service = await origin(answer)
    calls = group(Closed(0.03), 3, client="mcp", path="/mcp")
    record = await run(plan(service.url, calls))
    assert record["tasks"]["is_done"].all()
    assert (record["tasks"]["attempts"] == 1).all()
    told = defaultdict(list)
    for request in service.seen:
        method = json.loads(request.body)["method"]
        told[request.connection].append((method, request.headers.get("mcp-session-id", "")))
    assert len(told) == 3
    for methods in told.values():
        session = methods[1][1]
        assert session
        opening = [("initialize", ""), ("notifications/initialized", session)]
        assert methods == opening + [("tools/call", session)] * (len(methods) - 2)


async def test_a_session_that_is_gone_is_opened_again(origin: Start) -> None:
    """A 404 ends the task, and the next one opens another session; without one none is named."""
    gone = [True]

    def answer(request: Seen) -> bytes:
        method = json.loads(request.body)["method"]
        if method == "initialize":
            return OK.replace(b"\r\n", b"\r\nMcp-Session-Id: s\r\n", 1)
        if method == "tools/call" and gone:
            gone.pop()
            return OK.replace(b"200 OK", b"404 Not Found")
        return OK

    service = await origin(answer)
    record = await run(plan(service.url, group(Closed(0.03), 1, client="mcp", path="/mcp")))
    assert record["tasks"]["is_done"].tolist()[:3] == [False, True, True]
    methods = [json.loads(request.body)["method"] for request in service.seen]
    assert methods.count("initialize") == 2
    assert record["attempts"]["status"].tolist()[:2] == [404, 200]
