"""The MCP Python SDK over streamable HTTP against a server of the same SDK, both protocol eras."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.clients.conftest import Site
from tests.support.compare import FORWARDING, HOP_BY_HOP
from tests.support.mcp_server import SampleMcp

pytestmark = pytest.mark.clients

ERAS = ["legacy", "auto"]
CARRIED = ("accept", "content-type", "mcp-protocol-version", "mcp-method", "mcp-name")


async def check(
    mcp: Site[SampleMcp], work: Callable[[Client], Awaitable[Any]], mode: str
) -> tuple[Any, list[tuple[Any, ...]]]:
    """Run `work` in a session directly and governed; results and HTTP calls must be equal."""
    results, wires = [], []
    for base in (mcp.direct, mcp.governed):
        with anyio.fail_after(20):
            async with Client(f"{base}/mcp", mode=mode) as client:
                results.append(await work(client))
        wires.append(sorted(wire(mcp.server)))
    assert results[1] == results[0]
    assert wires[1] == wires[0]
    return results[0], wires[0]


def wire(server: SampleMcp) -> list[tuple[Any, ...]]:
    """Method, status and what MCP says in headers, of each HTTP call."""
    return [
        (call.method, call.status, *(call.headers.get(name, "") for name in CARRIED))
        for call in server.take()
    ]


@pytest.mark.parametrize("mode", ERAS)
async def test_listing(mcp: Site[SampleMcp], mode: str) -> None:
    """Negotiation and every listing give equal results."""

    async def work(client: Client) -> Any:
        tools = await client.list_tools()
        prompts = await client.list_prompts()
        resources = await client.list_resources()
        read = await client.read_resource("sample://text")
        return (
            client.protocol_version,
            client.server_capabilities.model_dump(),
            [tool.model_dump() for tool in tools.tools],
            [prompt.model_dump() for prompt in prompts.prompts],
            [resource.model_dump(mode="json") for resource in resources.resources],
            [content.model_dump(mode="json") for content in read.contents],
        )

    (version, _, tools, *_), _ = await check(mcp, work, mode)
    assert {tool["name"] for tool in tools} >= {"add", "count", "fail"}
    assert (version >= "2026") == (mode == "auto")


@pytest.mark.parametrize("mode", ERAS)
async def test_calls(mcp: Site[SampleMcp], mode: str) -> None:
    """Results, a result of 200 kB, a tool's error and an unknown tool are equal."""

    async def work(client: Client) -> Any:
        added = await client.call_tool("add", {"a": 2, "b": 3})
        large = await client.call_tool("large", {"n_chars": 100_000})
        failed = await client.call_tool("fail", {})
        try:
            unknown: Any = (await client.call_tool("unknown", {})).model_dump()
        except MCPError as error:
            unknown = (error.error.code, error.error.message)
        return added.model_dump(), large.model_dump(), failed.model_dump(), unknown

    (added, large, failed, _), _ = await check(mcp, work, mode)
    assert added["content"][0]["text"] == "5"
    assert len(large["content"][0]["text"]) == 100_000
    assert failed["is_error"]


@pytest.mark.parametrize("mode", ERAS)
async def test_progress_arrives_step_by_step(mcp: Site[SampleMcp], mode: str) -> None:
    """The tool reports again only once the client has the report before: nothing is buffered."""

    async def work(client: Client) -> Any:
        reports: list[Any] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            reports.append((progress, total, message))
            mcp.server.step()

        mcp.server.step()
        result = await client.call_tool("count", {"n": 20}, progress_callback=note)
        return reports, result.model_dump()

    (reports, _), _ = await check(mcp, work, mode)
    assert [report[0] for report in reports] == list(range(20))
    assert mcp.server.drain_steps() == 2  # one left over by each of the two runs


async def test_concurrent_calls_share_a_session(mcp: Site[SampleMcp]) -> None:
    """Thirty calls at once in one session each get their own answer."""

    async def work(client: Client) -> Any:
        answers: dict[int, Any] = {}
        await client.list_tools()  # else each call would list them first, or not, by chance

        async def one(number: int) -> None:
            answers[number] = (await client.call_tool("add", {"a": number, "b": 1})).model_dump()

        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(one, number)
        return [answers[number]["content"][0]["text"] for number in range(30)]

    texts, _ = await check(mcp, work, "legacy")
    assert texts == [str(number + 1) for number in range(30)]


async def test_session_life(mcp: Site[SampleMcp]) -> None:
    """A session is opened by initialize, carried by its id on every call, ended by DELETE."""
    for base in (mcp.direct, mcp.governed):
        with anyio.fail_after(20):
            async with Client(f"{base}/mcp", mode="legacy") as client:
                await client.call_tool("add", {"a": 1, "b": 1})
        calls = mcp.server.take()
        first, *rest = calls
        assert "mcp-session-id" not in first.headers
        assert len({call.headers["mcp-session-id"] for call in rest}) == 1
        assert calls[-1].method == "DELETE"
        assert calls[-1].status == 200
        host = base.removeprefix("http://")
        assert {call.headers["host"] for call in calls} == {host}


async def test_notification_on_the_standalone_stream(mcp: Site[SampleMcp]) -> None:
    """What the server sends unasked arrives on the GET stream that the SDK keeps open."""
    for base in (mcp.direct, mcp.governed):
        arrived = anyio.Event()
        kinds: list[str] = []

        async def note(
            message: Any, arrived: anyio.Event = arrived, kinds: list[str] = kinds
        ) -> None:
            kinds.append(type(message).__name__)
            arrived.set()

        with anyio.fail_after(20):
            async with Client(f"{base}/mcp", mode="legacy", message_handler=note) as client:
                while not any(call.method == "GET" for call in mcp.server.take()):
                    await anyio.sleep(0.005)
                await client.call_tool("announce", {})
                await arrived.wait()
        assert kinds == ["ToolListChangedNotification"]
        mcp.server.take()


async def test_subscription_stream(mcp: Site[SampleMcp]) -> None:
    """The listen stream of the newer protocol delivers a change while it stays open."""

    async def work(client: Client) -> Any:
        async with client.listen(tools_list_changed=True) as changes:
            await client.call_tool("announce", {})
            return type(await anext(aiter(changes))).__name__

    kind, _ = await check(mcp, work, "auto")
    assert kind == "ToolsListChanged"


async def test_resumption(mcp: Site[SampleMcp]) -> None:
    """A response stream that the server cut is resumed with Last-Event-ID, and answers."""
    for base in (mcp.direct, mcp.governed):
        with anyio.fail_after(20):
            async with Client(f"{base}/mcp", mode="legacy") as client:
                result = await client.call_tool("drop_stream", {})
        assert result.content[0].text == "resumed"  # type: ignore[union-attr]
        resumed = [call for call in mcp.server.take() if "last-event-id" in call.headers]
        assert [(call.method, call.status) for call in resumed] == [("GET", 200)]


async def test_refused_session(mcp: Site[SampleMcp]) -> None:
    """An unknown session is 404 with the server's own JSON-RPC body: the client must start anew."""
    answers = []
    for base in (mcp.direct, mcp.governed):
        async with httpx2.AsyncClient(
            headers={"mcp-session-id": "gone", "accept": "application/json, text/event-stream"}
        ) as client:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            answer = await client.post(f"{base}/mcp", json=body)
            answers.append((answer.status_code, answer.headers["content-type"], answer.json()))
    assert answers[1] == answers[0]
    assert answers[0][0] == 404


async def test_headers_of_the_callers_own_client(mcp: Site[SampleMcp]) -> None:
    """Headers that a caller adds reach the server as they were; only forwarding ones join them."""
    added = {"authorization": "Bearer t", "x-claude-code-session-id": "s-1", "origin": ""}
    seen = []
    for base in (mcp.direct, mcp.governed):
        async with httpx2.AsyncClient(headers=added) as http:
            transport = streamable_http_client(f"{base}/mcp", http_client=http)
            with anyio.fail_after(20):
                async with Client(transport, mode="auto") as client:
                    await client.call_tool("add", {"a": 1, "b": 1})
        seen.append(
            [
                {k: v for k, v in call.headers.items() if k not in FORWARDING | HOP_BY_HOP}
                | {"host": ""}
                for call in mcp.server.take()
            ]
        )
    assert seen[1] == seen[0]
    assert all(headers["authorization"] == "Bearer t" for headers in seen[0])
