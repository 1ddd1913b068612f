"""The sample's endpoints over HTTP, and the official SDKs against them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from aiohttp import ClientSession, web

from governor.sample.dialects import TEXT
from governor.sample.server import build_runner
from governor.sample.service import Service


@pytest.fixture
async def service() -> Service:
    """A fast service."""
    return Service(n_slots=2, mean_service_time_s=0.005)


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    """Where it is served."""
    runner = build_runner(service)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """A client."""
    async with ClientSession() as client:
        yield client


async def test_tools_take_their_subject_from_query_or_body(
    url: str, session: ClientSession
) -> None:
    """GET with ?q= and POST with a JSON object mean the same."""
    async with session.get(f"{url}/tools/search?q=storm") as plain:
        first = await plain.json()
    async with session.post(f"{url}/tools/search", json={"q": "storm"}) as posted:
        assert await posted.json() == first
    assert first["query"] == "storm"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/tools/nothing", 404),
        ("GET", "/nothing", 404),
        ("POST", "/fault?kind=explode", 400),
        ("POST", "/fault?kind=stall&seconds=61", 400),
        ("POST", "/fault?kind=stall&seconds=nan", 400),
        ("POST", "/fault?kind=stall&seconds=x", 400),
    ],
)
async def test_each_endpoint_answers(
    url: str, session: ClientSession, method: str, path: str, status: int
) -> None:
    """Known endpoints answer JSON; faults are bounded."""
    async with session.request(method, url + path) as answer:
        assert answer.status == status


async def test_a_fault_is_provoked_shown_and_ended(url: str, session: ClientSession) -> None:
    """Refuse answers 503 with a time to come back, until it is ended."""
    async with session.post(f"{url}/fault", json={"kind": "refuse", "seconds": 60}) as answer:
        assert await answer.json() == {"fault": "refuse", "seconds": 60.0}
    async with session.get(f"{url}/healthz") as answer:
        assert (await answer.json())["fault"] == "refuse"
    for path, method in (("/tools/search", "GET"), ("/v1/messages", "POST")):
        async with session.request(method, url + path) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    async with session.delete(f"{url}/fault"):
        pass
    async with session.get(f"{url}/tools/search") as answer:
        assert answer.status == 200


async def test_events_come_one_by_one(url: str, session: ClientSession) -> None:
    """Server-sent events, as many as asked for, bounded."""
    async with session.get(f"{url}/events?n=3&interval_ms=1") as answer:
        assert answer.content_type == "text/event-stream"
        lines = (await answer.text()).splitlines()
    assert [json.loads(line[6:])["n"] for line in lines if line.startswith("data")] == [0, 1, 2]


async def test_work_goes_on_after_its_caller_left(
    url: str, session: ClientSession, service: Service
) -> None:
    """A caller that hangs up frees nothing: the work is done to its end."""
    service.provoke("stall", 60)
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.2), session.get(f"{url}/tools/search"):
            pass
    assert service.n_in_service == 1
    assert service.n_served == 0
    service.heal()
    async with asyncio.timeout(10):
        while service.n_served == 0:
            await asyncio.sleep(0.005)


async def test_the_openai_sdk_is_answered_plain_and_streaming(url: str) -> None:
    """The official SDK reads both forms of the same answer."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        question: list[dict[str, str]] = [{"role": "user", "content": "?"}]
        ask = client.chat.completions.create
        plain = await ask(model="sample-1", messages=question)  # type: ignore[call-overload]
        stream = await ask(model="sample-1", messages=question, stream=True)  # type: ignore[call-overload]
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert plain.choices[0].message.content == "".join(pieces) == TEXT


async def test_the_anthropic_sdk_is_answered_plain_and_streaming(url: str) -> None:
    """The official SDK reads both forms of the same answer."""
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
        asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
        plain = await client.messages.create(**asked)  # type: ignore[call-overload]
        async with client.messages.stream(**asked) as stream:  # type: ignore[arg-type]
            text = await stream.get_final_text()
    assert plain.content[0].text == text == TEXT


async def test_mcp_wants_a_session(url: str) -> None:
    """400 without one, 404 for one that is not known, 202 to a notification, 204 to its end."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}
    async with ClientSession() as http:
        assert (await http.post(f"{url}/mcp", json=call)).status == 400
        unknown = {"Mcp-Session-Id": "x"}
        assert (await http.post(f"{url}/mcp", json=call, headers=unknown)).status == 404
        begun = await http.post(f"{url}/mcp", json={"id": 0, "method": "initialize"})
        own = {"Mcp-Session-Id": begun.headers["Mcp-Session-Id"]}
        said = {"method": "notifications/initialized"}
        assert (await http.post(f"{url}/mcp", json=said, headers=own)).status == 202
        found = await (await http.post(f"{url}/mcp", json=call, headers=own)).json()
        assert "governor: result 1" in found["result"]["content"][0]["text"]
        assert (await http.post(f"{url}/mcp", data=b"{", headers=own)).status == 400
        for method, code in (("tools/list", None), ("ping", None), ("nothing", -32601)):
            body = {"id": 2, "method": method}
            answer = await (await http.post(f"{url}/mcp", json=body, headers=own)).json()
            assert answer.get("error", {}).get("code") == code
        assert (await http.delete(f"{url}/mcp", headers=own)).status == 204
        assert (await http.post(f"{url}/mcp", json=call, headers=own)).status == 404


async def test_the_official_mcp_client_calls_a_tool(url: str) -> None:
    """It opens its session and gets the tool's answer."""
    mcp = pytest.importorskip("mcp")
    async with mcp.Client(f"{url}/mcp", mode="legacy") as client:
        found = await client.call_tool("weather", {"q": "Oslo"})
    assert "Oslo" in found.content[0].text
