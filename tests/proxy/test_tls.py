"""TLS on either side."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from governor.proxy.tls import make_listener_context
from policies.decision import Outcome
from tests.proxy.rig import GET, Peer, Rig, answering, ok, on_loop, status_of
from tests.support.certificate import write_certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a self-signed certificate for 127.0.0.1 and service.test, and its key."""
    chain, key = write_certificate(tmp_path_factory.mktemp("tls"))
    return str(chain), str(key)


@on_loop
async def test_tls_from_caller_to_upstream(certificate: tuple[str, str]) -> None:
    """Verified TLS on both legs carries requests, large bodies and streams."""
    chain, key = certificate

    async def handle(peer: Peer) -> None:
        while True:
            head, body = await peer.answer()
            assert b"X-Forwarded-Proto: https\r\n" in head
            peer.send(ok(body))

    async with Rig(
        handle,
        listener={"tls": {"certificate": chain, "key": key}},
        upstream={"tls": {"ca_file": chain}},
        service={"ssl": make_listener_context(chain, key)},
    ) as rig:
        context = ssl.create_default_context(cafile=chain)
        peer = await rig.connect(ssl=context, server_hostname="service.test")
        for length in (3, 500_000):
            peer.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % length)
            peer.send(b"x" * length)
            assert (await peer.answer())[1] == b"x" * length
        assert len(rig.service.peers) == 1
        await asyncio.sleep(0)


@on_loop
async def test_an_upstream_that_cannot_be_trusted_is_502(certificate: tuple[str, str]) -> None:
    """A certificate that no known authority signed is refused; no request byte is sent."""
    chain, key = certificate
    async with Rig(service={"ssl": make_listener_context(chain, key)}) as rig:
        peer = await rig.connect()
        peer.send(GET)
        head, body = await peer.answer()
        assert status_of(head) == 502
        assert b"TLS failed" in body
        assert await rig.settled() == [(Outcome.UNSENT, 502)]


@on_loop
async def test_verification_can_be_switched_off(certificate: tuple[str, str]) -> None:
    """verify: false takes any certificate."""
    chain, key = certificate
    async with Rig(
        answering(),
        service={"ssl": make_listener_context(chain, key)},
        upstream={"tls": {"verify": False}},
    ) as rig:
        peer = await rig.connect()
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"


@on_loop
async def test_the_host_is_rewritten_for_https_endpoints(certificate: tuple[str, str]) -> None:
    """Host: auto sends an https endpoint its own name."""
    chain, key = certificate
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            peer.send(ok())

    async with Rig(
        handle,
        service={"ssl": make_listener_context(chain, key)},
        upstream={"tls": {"ca_file": chain, "server_name": "service.test"}},
    ) as rig:
        peer = await rig.connect()
        peer.send(GET)
        await peer.answer()
        assert b"Host: " + rig.service.url[8:].encode() + b"\r\n" in seen[0]
