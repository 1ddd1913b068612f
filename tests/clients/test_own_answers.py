"""What unmodified clients make of Governor's own decisions: waiting, 429 with a time, errors.

One place and a service that hangs until told make each situation certain, without timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import anthropic
import anyio
import httpx
import openai
import pytest
from mcp import Client, MCPError

from tests.clients.conftest import Site
from tests.support.compare import value_of
from tests.support.llm_server import LlmServer
from tests.support.loops import wait_until
from tests.support.mcp_server import SampleMcp
from tests.support.runtime import RunningRuntime

pytestmark = pytest.mark.clients

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
ONE_PLACE = {"limit": 1}
NO_LINE = {"limit": 1, "max_waiting": 0}
SOON = {"slot_horizon": "1s"}


@contextmanager
def busy(llm: Site[LlmServer], governor: RunningRuntime) -> Iterator[Future[Any]]:
    """One call that occupies the only place until it is let go, at the latest at the end."""
    with (
        ThreadPoolExecutor(1) as pool,
        openai.OpenAI(base_url=f"{governor.url}/v1", api_key="first", max_retries=0) as client,
    ):
        chat = client.chat.completions
        first = pool.submit(chat.create, model="hang:busy", messages=HELLO)
        try:
            governor.wait_until_in_flight(1)
            llm.server.wait_until_hanging("busy")
            yield first
        finally:
            if not first.done():
                llm.server.let_go("busy")
            assert first.result(10).choices[0].finish_reason == "stop"


def test_a_call_that_waits_is_an_ordinary_call(llm: Site[LlmServer]) -> None:
    """While the only place is taken a call waits; the SDK notices nothing and repeats nothing."""
    with (
        RunningRuntime(llm.direct, ONE_PLACE) as governor,
        busy(llm, governor) as first,
        ThreadPoolExecutor(1) as pool,
        openai.OpenAI(base_url=f"{governor.url}/v1", api_key="second") as client,
    ):
        second = pool.submit(client.chat.completions.create, model="plain", messages=HELLO)
        governor.wait_until_in_flight(1, 1)
        assert not second.done()
        llm.server.let_go("busy")
        assert second.result(10).choices[0].finish_reason == "stop"
        assert first.result(10)
    counts = [value_of(call.headers, "x-stainless-retry-count") for call in llm.server.take()]
    assert counts == ["0", "0"]


def test_a_caller_that_gives_up_waiting_is_gone(llm: Site[LlmServer]) -> None:
    """A call that times out in the line leaves it at once; the service never hears of it."""
    with RunningRuntime(llm.direct, ONE_PLACE) as governor, busy(llm, governor):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{governor.url}/v1/embeddings", json={"input": []}, timeout=0.1)
        governor.wait_until_in_flight(1, 0)
        assert governor.gate.ledger.n_left_waiting == 1
    assert [call.body.count(b"hang:busy") for call in llm.server.take()] == [1]


def test_openai_is_told_when_to_come_back(llm: Site[LlmServer]) -> None:
    """Where nobody may wait the SDK raises its RateLimitError, with reason, id and time in it."""
    with (
        RunningRuntime(llm.direct, NO_LINE, SOON) as governor,
        busy(llm, governor),
        openai.OpenAI(base_url=f"{governor.url}/v1", api_key="second", max_retries=0) as client,
    ):
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="plain", messages=HELLO)
        error = caught.value
        assert error.request_id
        assert isinstance(error.body, dict)
        assert error.body["message"]
        assert error.code == "line_full"
        assert 0 < int(error.response.headers["retry-after-ms"]) <= 1000
        assert int(error.response.headers["retry-after"]) == 1


def test_openai_comes_back_in_its_slot(llm: Site[LlmServer]) -> None:
    """Sent away, the SDK sleeps until its own slot and then succeeds, on its first retry."""
    with (
        RunningRuntime(llm.direct, NO_LINE, SOON) as governor,
        ThreadPoolExecutor(1) as pool,
        openai.OpenAI(base_url=f"{governor.url}/v1", api_key="second", max_retries=1) as client,
    ):
        with busy(llm, governor):
            told = governor.runtime.stats.n_own_answers
            before = sum(told.values())
            second = pool.submit(client.chat.completions.create, model="plain", messages=HELLO)
            wait_until(lambda: sum(told.values()) > before, what="being sent away")
        assert second.result(10).choices[0].finish_reason == "stop"
    counts = [value_of(call.headers, "x-stainless-retry-count") for call in llm.server.take()]
    assert counts == ["0", "1"]


def test_anthropic_is_told_when_to_come_back(llm: Site[LlmServer]) -> None:
    """The Anthropic SDK gets the error shape of its own API, and the time."""
    with (
        RunningRuntime(llm.direct, NO_LINE, SOON) as governor,
        busy(llm, governor),
        anthropic.Anthropic(base_url=governor.url, api_key="second", max_retries=0) as client,
    ):
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(model="plain", max_tokens=1, messages=HELLO)
        assert isinstance(caught.value.body, dict)
        assert caught.value.body["type"] == "error"
        assert caught.value.body["error"]["type"] == "rate_limit_error"
        assert int(caught.value.response.headers["retry-after-ms"]) <= 1000
    llm.server.take()


async def test_mcp_gets_an_error_it_can_read(mcp: Site[SampleMcp]) -> None:
    """An MCP call that is sent away raises MCPError with Governor's words; the session lives."""
    with RunningRuntime(mcp.direct, NO_LINE, SOON) as governor:
        with anyio.fail_after(20):
            async with (
                Client(f"{governor.url}/mcp", mode="auto") as client,
                anyio.create_task_group() as group,
            ):
                await client.list_tools()
                started = anyio.Event()

                async def first() -> None:
                    async def note(*_: Any) -> None:
                        started.set()

                    mcp.server.step()
                    await client.call_tool("count", {"n": 2}, progress_callback=note)

                group.start_soon(first)
                await started.wait()
                with pytest.raises(MCPError) as caught:
                    await client.call_tool("add", {"a": 1, "b": 1})
                assert "wait" in caught.value.error.message.lower()
                mcp.server.step()
        mcp.server.take()


async def test_mcp_waits_rather_than_fails(mcp: Site[SampleMcp]) -> None:
    """With a line to stand in, an MCP call waits for the place and succeeds."""
    with RunningRuntime(mcp.direct, ONE_PLACE) as governor, anyio.fail_after(20):
        async with (
            Client(f"{governor.url}/mcp", mode="auto") as client,
            anyio.create_task_group() as group,
        ):
            await client.list_tools()
            started = anyio.Event()

            async def first() -> None:
                async def note(*_: Any) -> None:
                    started.set()

                mcp.server.step()
                await client.call_tool("count", {"n": 2}, progress_callback=note)

            async def second() -> None:
                result = await client.call_tool("add", {"a": 1, "b": 1})
                assert result.content[0].text == "2"  # type: ignore[union-attr]

            group.start_soon(first)
            await started.wait()
            group.start_soon(second)
            while governor.gate.line_length != 1:
                await anyio.sleep(0.005)
            mcp.server.step()
    mcp.server.take()


@pytest.mark.parametrize("mode", ["observe", "govern"])
def test_observing_changes_nothing(llm: Site[LlmServer], mode: str) -> None:
    """In observe mode the same full place holds nobody; the decision is only written down."""
    with (
        RunningRuntime(llm.direct, NO_LINE, {"mode": mode, **SOON}) as governor,
        busy(llm, governor),
        openai.OpenAI(base_url=f"{governor.url}/v1", api_key="second", max_retries=0) as client,
    ):
        chat = client.chat.completions
        if mode == "observe":
            assert chat.create(model="plain", messages=HELLO).choices[0].finish_reason == "stop"
            assert governor.runtime.decision_log.n_appended == 1
        else:
            with pytest.raises(openai.RateLimitError):
                chat.create(model="plain", messages=HELLO)
    llm.server.take()
