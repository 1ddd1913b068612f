"""The openai SDK, unmodified: what it returns, raises and sends is the same through Governor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.clients.conftest import Site
from tests.support.compare import FORWARDING, end_to_end, names, value_of
from tests.support.llm_server import WORDS, Call, LlmServer

pytestmark = pytest.mark.clients

HELLO: list[Any] = [{"role": "user", "content": "hello, wörld"}]


def connect(base: str, retries: int = 2) -> openai.OpenAI:
    """A client as a user makes it, apart from the address."""
    return openai.OpenAI(base_url=f"{base}/v1", api_key="sk-test", max_retries=retries)


def seen(calls: list[Call], but: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """The calls with everything that a proxy must leave alone."""
    dropped = ("host", *but)
    return [(c.method, c.path, end_to_end(c.headers, dropped), c.body) for c in calls]


def check(llm: Site[LlmServer], work: Callable[[openai.OpenAI], Any], retries: int = 2) -> Any:
    """Run `work` directly and governed; results and received requests must be equal."""
    results, received = [], []
    for base in (llm.direct, llm.governed):
        with connect(base, retries) as client:
            results.append(work(client))
        calls = llm.server.take()
        assert {value_of(c.headers, "host") for c in calls} == {base.removeprefix("http://")}
        received.append(seen(calls))
    assert results[1] == results[0]
    assert received[1] == received[0]
    return results[0], received[0]


def failure(work: Callable[[], Any]) -> dict[str, Any]:
    """Everything that the SDK's exception tells its caller."""
    with pytest.raises(openai.APIStatusError) as caught:
        work()
    error = caught.value
    return {
        "type": type(error).__name__,
        "message": str(error),
        "status": error.status_code,
        "body": error.body,
        "code": error.code,
        "request_id": error.request_id,
        "headers": end_to_end(error.response.headers.raw),
    }


def test_plain_completion(llm: Site[LlmServer]) -> None:
    """A completion and its headers are equal, and so is the request that the API saw."""

    def work(client: openai.OpenAI) -> Any:
        raw = client.chat.completions.with_raw_response.create(model="plain", messages=HELLO)
        answer = raw.parse()
        return raw.status_code, end_to_end(raw.headers.raw), answer.model_dump(), answer._request_id

    (_, headers, answer, request_id), _ = check(llm, work)
    assert answer["choices"][0]["message"]["content"] == "".join(WORDS)
    assert request_id == "req_chat"
    assert value_of(headers, "openai-version") == "1"


def test_proxy_tells_for_whom_it_asks(llm: Site[LlmServer]) -> None:
    """Through Governor a request differs from a direct one by forwarding fields only."""
    for base in (llm.direct, llm.governed):
        with connect(base) as client:
            client.models.list()
    direct, governed = llm.server.take()
    added = names(governed.headers) - names(direct.headers)
    assert added <= FORWARDING
    assert names(direct.headers) - names(governed.headers) <= {"connection"}


def test_streamed_completion(llm: Site[LlmServer]) -> None:
    """A stream gives the same chunks in the same order."""

    def work(client: openai.OpenAI) -> Any:
        with client.chat.completions.create(model="plain", messages=HELLO, stream=True) as stream:
            return [chunk.model_dump() for chunk in stream]

    chunks, _ = check(llm, work)
    words = [chunk["choices"][0]["delta"]["content"] for chunk in chunks]
    assert "".join(word or "" for word in words) == "".join(WORDS)


def test_stream_arrives_chunk_by_chunk(llm: Site[LlmServer]) -> None:
    """The API sends a chunk only after the client has the one before: nothing is held back."""

    def work(client: openai.OpenAI) -> Any:
        model, chunks = "steps:openai", []
        with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
            for chunk in stream:
                chunks.append(chunk.model_dump())
                llm.server.release("openai")
                if chunk.choices[0].finish_reason:
                    llm.server.release("openai")
        return chunks

    chunks, _ = check(llm, work)
    assert len(chunks) == len(WORDS) + 2


def test_abandoned_stream(llm: Site[LlmServer]) -> None:
    """A stream that the client closes half-way is closed at the API too."""
    for name, base in (("direct", llm.direct), ("governed", llm.governed)):
        model = f"steps:abandoned-{name}"
        with connect(base) as client:
            stream = client.chat.completions.create(model=model, messages=HELLO, stream=True)
            assert next(iter(stream)).choices[0].delta.role == "assistant"
            stream.close()
            llm.server.wait_until_left(f"abandoned-{name}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_errors(llm: Site[LlmServer], status: int) -> None:
    """An error raises the same exception with the same body, code, request id and headers."""

    def work(client: openai.OpenAI) -> Any:
        chat = client.chat.completions
        return failure(lambda: chat.create(model=f"refuse-{status}", messages=HELLO))

    error, received = check(llm, work, retries=0)
    assert error["status"] == status
    assert error["request_id"] == "req_refused"
    assert len(received) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retries_are_the_sdks_own(llm: Site[LlmServer], status: int) -> None:
    """Two failures with retry-after-ms give attempts 0, 1, 2, no more and no fewer."""

    def work(client: openai.OpenAI) -> Any:
        model = f"fail-{status}-2"
        return client.chat.completions.create(model=model, messages=HELLO).model_dump()

    _, received = check(llm, work)
    counts = [value_of(call[2], "x-stainless-retry-count") for call in received]
    assert counts == ["0", "1", "2"]


def test_retries_run_out(llm: Site[LlmServer]) -> None:
    """After its last attempt the SDK raises what the API said, with the API's retry-after."""

    def work(client: openai.OpenAI) -> Any:
        model = "fail-429-9"
        return failure(lambda: client.chat.completions.create(model=model, messages=HELLO))

    error, received = check(llm, work, retries=1)
    assert len(received) == 2
    assert value_of(error["headers"], "retry-after-ms") == "5"
    assert value_of(error["headers"], "retry-after") == "1"


def test_files_up_and_down(llm: Site[LlmServer]) -> None:
    """A multipart upload arrives whole under its name; a binary download arrives whole."""
    content = bytes(range(256)) * 4096
    results = []
    for base in (llm.direct, llm.governed):
        with connect(base) as client:
            sent = client.files.create(file=("dätä.jsonl", content), purpose="batch")
            results.append((sent.model_dump(), client.files.content("name").read()))
        upload = llm.server.take()[0]
        assert upload.body == content
    assert results[1] == results[0]
    assert results[0][0]["bytes"] == len(content)


def test_embeddings(llm: Site[LlmServer]) -> None:
    """Embeddings, which travel as base64, decode to the same numbers."""

    def work(client: openai.OpenAI) -> Any:
        return client.embeddings.create(model="plain", input=["a", "b"]).model_dump()

    answer, _ = check(llm, work)
    assert answer["data"][1]["embedding"] == [1.0, 2.0, 3.0]


def test_client_timeout(llm: Site[LlmServer]) -> None:
    """A call that the client gives up on raises the SDK's timeout, not an answer of the proxy."""

    def work(client: openai.OpenAI) -> Any:
        with pytest.raises(openai.APITimeoutError) as caught:
            client.with_options(timeout=0.2).chat.completions.create(
                model="hang:openai", messages=HELLO
            )
        llm.server.let_go("openai")
        return str(caught.value)

    check(llm, work, retries=0)


async def test_async_client(llm: Site[LlmServer]) -> None:
    """Twenty concurrent calls and streams of the async client get equal answers."""

    async def one(client: openai.AsyncOpenAI, number: int) -> Any:
        chat = client.chat.completions
        if number % 2:
            return (await chat.create(model=f"fail-503-{number % 3}", messages=HELLO)).model_dump()
        stream = await chat.create(model="plain", messages=HELLO, stream=True)
        async with stream:
            return [chunk.model_dump() async for chunk in stream]

    results, sent = [], []
    for base in (llm.direct, llm.governed):
        async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="sk-test") as client:
            results.append(await asyncio.gather(*(one(client, number) for number in range(20))))
        sent.append(sorted(seen(llm.server.take()), key=repr))
    assert results[1] == results[0]
    assert sent[1] == sent[0]


async def test_async_error(llm: Site[LlmServer]) -> None:
    """The async client raises the same error."""
    errors = []
    for base in (llm.direct, llm.governed):
        url = f"{base}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            with pytest.raises(openai.RateLimitError) as caught:
                await client.chat.completions.create(model="refuse-429", messages=HELLO)
        errors.append((str(caught.value), caught.value.body, caught.value.request_id))
    assert errors[1] == errors[0]
