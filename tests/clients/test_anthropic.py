"""The anthropic SDK, unmodified: messages, streams with pings, errors and headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from tests.clients.conftest import Site
from tests.support.compare import end_to_end, value_of
from tests.support.llm_server import WORDS, LlmServer

pytestmark = pytest.mark.clients

ASK: dict[str, Any] = {"max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
N_EVENTS = len(WORDS) + 7


def connect(base: str, retries: int = 2) -> anthropic.Anthropic:
    """A client as a user makes it, apart from the address."""
    return anthropic.Anthropic(base_url=base, api_key="sk-ant-test", max_retries=retries)


def check(
    llm: Site[LlmServer], work: Callable[[anthropic.Anthropic], Any], retries: int = 2
) -> tuple[Any, list[tuple[Any, ...]]]:
    """Run `work` directly and governed; results and received requests must be equal."""
    results, received = [], []
    for base in (llm.direct, llm.governed):
        with connect(base, retries) as client:
            results.append(work(client))
        received.append(
            [
                (call.method, call.path, end_to_end(call.headers, ["host"]), call.body)
                for call in llm.server.take()
            ]
        )
    assert results[1] == results[0]
    assert received[1] == received[0]
    return results[0], received[0]


def test_plain_message(llm: Site[LlmServer]) -> None:
    """A message and every anthropic-* header of request and response pass unchanged."""

    def work(client: anthropic.Anthropic) -> Any:
        headers = {"anthropic-beta": "tools-2024-04-04,other-2025-01-01", "X-Odd": "a, b"}
        raw = client.messages.with_raw_response.create(model="plain", extra_headers=headers, **ASK)
        return raw.status_code, end_to_end(raw.headers.raw), raw.parse().model_dump()

    (_, headers, message), received = check(llm, work)
    assert message["content"][0]["text"] == "".join(WORDS)
    assert value_of(headers, "anthropic-ratelimit-requests-remaining") == "49"
    assert value_of(headers, "request-id") == "req_msg"
    sent = received[0][2]
    assert value_of(sent, "anthropic-beta") == "tools-2024-04-04,other-2025-01-01"
    assert value_of(sent, "anthropic-version") is not None
    assert [value for _, value in sent if "sk-ant-test" in value]


def test_count_tokens(llm: Site[LlmServer]) -> None:
    """The token-counting endpoint works as it does directly."""

    def work(client: anthropic.Anthropic) -> Any:
        return client.messages.count_tokens(model="plain", messages=ASK["messages"]).model_dump()

    count, _ = check(llm, work)
    assert count["input_tokens"] == 7


def test_event_stream(llm: Site[LlmServer]) -> None:
    """The typed events are the same in the same order."""

    def work(client: anthropic.Anthropic) -> Any:
        with client.messages.create(model="plain", stream=True, **ASK) as stream:
            return [event.model_dump() for event in stream]

    events, _ = check(llm, work)
    assert [event["type"] for event in events][:2] == ["message_start", "content_block_start"]


def test_stream_helper(llm: Site[LlmServer]) -> None:
    """The SDK's accumulating stream gives the same text pieces and final message."""

    def work(client: anthropic.Anthropic) -> Any:
        with client.messages.stream(model="plain", **ASK) as stream:
            return list(stream.text_stream), stream.get_final_message().model_dump()

    (pieces, message), _ = check(llm, work)
    assert pieces == WORDS
    assert message["stop_reason"] == "end_turn"


def test_events_and_pings_arrive_one_by_one(llm: Site[LlmServer]) -> None:
    """The API sends an event only after the one before arrived, pings included: no buffer."""

    def work(client: anthropic.Anthropic) -> Any:
        kinds = []
        streaming = client.messages.with_streaming_response.create
        with streaming(model="steps:anthropic", stream=True, **ASK) as response:
            for line in response.iter_lines():
                if line.startswith("event: "):
                    kinds.append(line.removeprefix("event: "))
                elif not line:
                    llm.server.release("anthropic")
        return kinds

    kinds, _ = check(llm, work)
    assert kinds.count("ping") == 2
    assert len(kinds) == N_EVENTS


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 529])
def test_errors(llm: Site[LlmServer], status: int) -> None:
    """An error raises the same exception with the same body, request id and headers."""

    def work(client: anthropic.Anthropic) -> Any:
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(model=f"refuse-{status}", **ASK)
        error = caught.value
        headers = end_to_end(error.response.headers.raw)
        return type(error).__name__, str(error), error.body, error.request_id, headers

    error, received = check(llm, work, retries=0)
    assert error[3] == "req_refused"
    assert len(received) == 1


@pytest.mark.parametrize("status", [429, 529])
def test_retries_are_the_sdks_own(llm: Site[LlmServer], status: int) -> None:
    """Two failures give attempts 0, 1, 2: 529 and its retry-after reach the SDK as sent."""

    def work(client: anthropic.Anthropic) -> Any:
        return client.messages.create(model=f"fail-{status}-2", **ASK).model_dump()

    _, received = check(llm, work)
    counts = [value_of(call[2], "x-stainless-retry-count") for call in received]
    assert counts == ["0", "1", "2"]


def test_abandoned_stream(llm: Site[LlmServer]) -> None:
    """A stream that the client closes half-way is closed at the API too."""
    for name, base in (("direct", llm.direct), ("governed", llm.governed)):
        with connect(base) as client:
            stream = client.messages.create(model=f"steps:gone-{name}", stream=True, **ASK)
            assert next(iter(stream)).type == "message_start"
            stream.close()
            llm.server.wait_until_left(f"gone-{name}")


async def test_async_streams(llm: Site[LlmServer]) -> None:
    """Ten concurrent streams of the async client give equal text."""

    async def one(client: anthropic.AsyncAnthropic) -> Any:
        async with client.messages.stream(model="plain", **ASK) as stream:
            return [piece async for piece in stream.text_stream]

    for base in (llm.direct, llm.governed):
        async with anthropic.AsyncAnthropic(base_url=base, api_key="k") as client:
            texts = await asyncio.gather(*(one(client) for _ in range(10)))
        assert texts == [WORDS] * 10
