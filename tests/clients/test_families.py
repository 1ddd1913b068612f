"""What the real libraries send tells their family, sent as they send it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import closing

import anthropic
import boto3
import httpx
import openai
import pytest
import requests
import urllib3
from botocore.config import Config
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from governor.core.identity import Identities
from governor.proxy.arrivals import ArrivalReader
from governor.proxy.peer import Peer
from signals.families import FAMILIES
from tests.proxy.heads import head_of
from tests.support.origin import Conversation, Origin

pytestmark = pytest.mark.clients


async def refuse(conversation: Conversation) -> None:
    """Answer what no client repeats."""
    await conversation.read_body()
    conversation.origin.record(conversation.request)
    await conversation.answer(404, b"{}", [(b"content-type", b"application/json")], b"Not Found")


PATHS = ("/v1/chat/completions", "/v1/messages", "/plain", "/", "/mcp")


@pytest.fixture(name="origin", scope="module")
def _origin() -> Iterator[Origin]:
    with closing(Origin(dict.fromkeys(PATHS, refuse))) as origin:
        yield origin


def call_openai(url: str) -> None:
    """The OpenAI SDK."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        client.chat.completions.create(model="m", messages=[])


def call_anthropic(url: str) -> None:
    """The Anthropic SDK."""
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0) as client:
        client.messages.create(model="m", max_tokens=1, messages=[])


def call_openai_under_a_name(url: str) -> None:
    """The OpenAI SDK in a program that says its own name."""
    headers = {"User-Agent": "our-app/1.0"}
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key="k", max_retries=0, default_headers=headers
    ) as client:
        client.chat.completions.create(model="m", messages=[])


def call_boto3(url: str) -> None:
    """boto3, as it signs for SQS."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    config = Config(retries={"total_max_attempts": 1})
    client = boto3.client("sqs", endpoint_url=url, region_name="x", config=config, **keys)
    with closing(client):
        client.list_queues()


def call_mcp(url: str) -> None:
    """The MCP SDK's first request of a session, which has no MCP header yet."""

    async def connect() -> None:
        async with (
            streamable_http_client(f"{url}/mcp") as (reader, writer, *_),
            ClientSession(reader, writer) as session,
        ):
            await asyncio.wait_for(session.initialize(), 5.0)

    asyncio.run(connect())


CLIENTS: list[tuple[str, Callable[[str], object]]] = [
    ("stainless", call_openai),
    ("stainless", call_anthropic),
    ("stainless", call_openai_under_a_name),
    ("boto", call_boto3),
    ("mcp", call_mcp),
    ("urllib3", lambda url: requests.get(f"{url}/plain", timeout=5)),
    ("urllib3", lambda url: urllib3.PoolManager().request("GET", f"{url}/plain")),
    ("other", lambda url: httpx.get(f"{url}/plain", trust_env=False)),
]


@pytest.mark.parametrize(("family", "work"), CLIENTS)
def test_family(origin: Origin, family: str, work: Callable[[str], object]) -> None:
    """By its own request, as received."""
    with contextlib.suppress(Exception, BaseExceptionGroup):
        work(origin.url)
    received = origin.take()
    assert received
    reader = ArrivalReader(Identities())
    for request in received:
        fields = [name + b": " + value for name, value in request.fields if name.lower() != b"host"]
        head = head_of(*fields, method=request.method.encode(), target=request.target)
        assert FAMILIES[reader.read(head, Peer("192.0.2.1", 1), 0).family] == family
