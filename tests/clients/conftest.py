"""One set of real servers and one Governor in front of all of them, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Generic, TypeVar

import certifi
import pytest

from tests.support.aws_servers import MotoServer, SignatureServer
from tests.support.governed import Front, Governor, front
from tests.support.llm_server import LlmServer
from tests.support.mcp_server import SampleMcp
from tests.support.origin import Origin
from tests.support.origin_answers import ANSWERS
from tests.support.websocket_server import WebSocketServer

S = TypeVar("S")


@dataclass(frozen=True)
class Site(Generic[S]):
    """A server, its own base URL, and the base URL of Governor in front of it."""

    server: S
    direct: str
    governed: str


@dataclass(frozen=True)
class Sites:
    """The servers of the session and what stands in front of them."""

    servers: dict[str, object]
    front: Front


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let clients load one certificate in place of 150: each makes a TLS context it never uses."""
    end = "-----END CERTIFICATE-----\n"
    first, _, _ = certifi.contents().partition(end)
    file = tmp_path_factory.mktemp("authority") / "one.pem"
    file.write_text(first + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture(scope="session")
def sites() -> Iterator[Sites]:
    """Every server, started once, and one Governor in front of them all."""
    makers = {
        "llm": LlmServer,
        "mcp": SampleMcp,
        "moto": MotoServer,
        "signature": SignatureServer,
        "websocket": WebSocketServer,
    }
    with ExitStack() as stack:
        servers: dict[str, object] = {"origin": stack.enter_context(closing(Origin(ANSWERS)))}
        for name, maker in makers.items():
            servers[name] = stack.enter_context(closing(maker()))
        urls = {name: server.url for name, server in servers.items()}  # type: ignore[attr-defined]
        before = stack.enter_context(closing(front(urls)))
        yield Sites(servers, before)
        if isinstance(before, Governor):
            before.require_peace()


def _site(sites: Sites, name: str) -> Site:  # type: ignore[type-arg]
    server = sites.servers[name]
    return Site(server, server.url, sites.front.urls[name])  # type: ignore[attr-defined]


@pytest.fixture
def llm(sites: Sites) -> Site[LlmServer]:
    """The sample LLM API."""
    site: Site[LlmServer] = _site(sites, "llm")
    site.server.take()
    return site


@pytest.fixture
def mcp(sites: Sites) -> Site[SampleMcp]:
    """The MCP server."""
    site: Site[SampleMcp] = _site(sites, "mcp")
    site.server.take()
    return site


@pytest.fixture
def moto(sites: Sites) -> Site[MotoServer]:
    """The server of moto."""
    return _site(sites, "moto")


@pytest.fixture
def signature(sites: Sites) -> Site[SignatureServer]:
    """The server that checks signatures."""
    site: Site[SignatureServer] = _site(sites, "signature")
    site.server.take()
    return site


@pytest.fixture
def websocket(sites: Sites) -> Site[WebSocketServer]:
    """The WebSocket server."""
    return _site(sites, "websocket")


@pytest.fixture
def origin(sites: Sites) -> Site[Origin]:
    """The raw HTTP/1.1 origin."""
    site: Site[Origin] = _site(sites, "origin")
    site.server.take()
    return site
