"""A WebSocket server of the `websockets` library on a loopback port."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.support.loops import LoopThread


class WebSocketServer:
    """Echoes messages; `close CODE REASON` makes it close, `ping` makes it ping first."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._thread = LoopThread("websocket")
        quiet = logging.getLogger("tests.websocket")
        quiet.disabled = True
        self._server = self._thread.run(self._start(quiet))
        self.port: int = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _start(self, logger: logging.Logger):  # type: ignore[no-untyped-def]
        return await serve(
            self._echo,
            "127.0.0.1",
            0,
            select_subprotocol=_select,
            max_size=32 << 20,
            ping_interval=None,
            logger=logger,
        )

    def close(self) -> None:
        """Stop the server."""
        self._thread.run(self._stop())
        self._thread.close()

    async def _stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _echo(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        async for message in connection:
            if isinstance(message, str) and message.startswith("close "):
                _, code, reason = message.split(" ", 2)
                await connection.close(int(code), reason)
                return
            if message == "ping":
                await (await connection.ping(b"are you there"))
            await connection.send(message)


def _select(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The best of those offered, none if none is known."""
    return next((Subprotocol(name) for name in ("v2.sample", "v1.sample") if name in offered), None)
