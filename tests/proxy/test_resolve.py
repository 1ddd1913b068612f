"""Names of endpoints: asked once, again after a failure."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from governor.proxy.resolve import Addresses
from tests.proxy.rig import GET, Rig, on_loop


def answering_with(found: list[list[str]]) -> Any:
    """A resolver that gives these answers in turn."""

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        await asyncio.sleep(0)
        return [(socket.AF_INET, 1, 6, "", (x, port)) for x in found.pop(0)]

    return getaddrinfo


@on_loop
async def test_a_name_is_asked_once_until_it_fails() -> None:
    """Many who wait share one question; a failure asks again; a success goes first."""
    addresses = Addresses("service.test", 80)
    found = [["192.0.2.1", "192.0.2.2", "192.0.2.1"], ["192.0.2.3"]]
    addresses._getaddrinfo = answering_with(found)
    both = await asyncio.gather(addresses.resolve(), addresses.resolve())
    assert both == [["192.0.2.1", "192.0.2.2"]] * 2
    addresses.succeeded("192.0.2.2")
    assert await addresses.resolve() == ["192.0.2.2", "192.0.2.1"]
    addresses.failed()
    assert await addresses.resolve() == ["192.0.2.3"]


@on_loop
async def test_an_address_is_not_asked() -> None:
    """IPv4 and IPv6 addresses are used as they are, also after a failure."""
    for host in ("192.0.2.1", "2001:db8::1"):
        addresses = Addresses(host, 80)
        addresses.failed()
        assert await addresses.resolve() == [host]


@on_loop
async def test_the_next_address_is_tried_when_the_first_refuses() -> None:
    """A name with a dead address first is still served, and the live one is remembered."""
    async with Rig() as rig:
        pool = rig.pools[0]
        pool._addresses = Addresses("service.test", pool.address.port)
        pool._addresses._getaddrinfo = answering_with([["127.0.0.2", "127.0.0.1"]])
        peer = await rig.connect()
        peer.send(GET)
        assert (await peer.answer())[1] == b"ok"
        assert pool._addresses.known() == ["127.0.0.1", "127.0.0.2"]
