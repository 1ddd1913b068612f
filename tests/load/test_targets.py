"""Targets: URLs, who is this machine, and TLS that is verified."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from governor.load.fleet import run
from governor.load.plan import Group, Herd, Plan
from governor.load.record import NOT_CONNECTED
from governor.load.targets import is_loopback, parse
from governor.load.wire import HOST
from tests.load.conftest import OK, Origin, OriginConnection
from tests.support.certificate import write_certificate


@pytest.mark.parametrize(
    ("url", "host", "port", "prefix"),
    [
        ("http://127.0.0.1:9000", "127.0.0.1", 9000, ""),
        ("http://localhost/api/", "localhost", 80, "/api"),
        ("https://[::1]", "::1", 443, ""),
    ],
)
def test_urls_are_taken_apart(url: str, host: str, port: int, prefix: str) -> None:
    """Host, port by the scheme, path without its last slash."""
    target = parse(url)
    assert (target.host, target.port, target.prefix) == (host, port, prefix)
    assert (target.tls is not None) == url.startswith("https")
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:1", "ftp://a", "http://", "http://a:b", "http://u@a", "http://a?b", "x y"],
)
def test_what_is_no_url_of_a_service_is_refused(url: str) -> None:
    """The error says what would be one."""
    with pytest.raises(ValueError, match=r"must"):
        parse(url)


@pytest.mark.parametrize("url", ["http://10.0.0.1", "http://example.com", "http://0.0.0.0:1"])
def test_other_machines_are_told_apart(url: str) -> None:
    """Only loopback addresses and localhost are this machine without asking anybody."""
    assert not is_loopback(url)


async def test_tls_is_spoken_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is trusted serves; one that is not is no connection."""
    chain, private = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, private)
    service = Origin(lambda _: OK)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: OriginConnection(service), HOST, 0, ssl=context)
    url = f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
    once = Group("agents", 2, Herd(0.02, 0.0), client="requests")
    plan = Plan((url,), (once,), 0.03, 5.0, 1)
    untrusted = await run(plan)
    assert untrusted["attempts"]["loss"].tolist() == [NOT_CONNECTED] * 2
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    trusted = await run(plan)
    assert trusted["attempts"]["status"].tolist() == [200] * 2
    server.close()
    for connection in service.connections:
        if hasattr(connection, "transport"):
            connection.transport.abort()
    while service.n_open:
        await asyncio.sleep(0.001)
