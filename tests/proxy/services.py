"""Services behind the rig that note every byte, or answer only when told."""

from __future__ import annotations

import asyncio

from tests.proxy.rig import Peer, Rig, ok

H = b"Host: t\r\n"
POST = b"POST / HTTP/1.1\r\n" + H


def recording() -> tuple[Rig, list[bytes]]:
    """A service that notes every byte it gets."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        seen.append(await peer.rest())

    return Rig(handle), seen


def holding_back() -> tuple[Rig, asyncio.Event]:
    """A service that answers when told."""
    go = asyncio.Event()

    async def handle(peer: Peer) -> None:
        while True:
            await peer.answer()
            await go.wait()
            peer.send(ok(b"x" * 200_000))

    return Rig(handle), go
