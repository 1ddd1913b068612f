"""A TCP forwarder that changes no byte: the control for tests that compare direct and governed.

A comparison that fails through this forwarder is wrong in the test, not in the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib

from tests.support.loops import LoopThread, kept

_BLOCK_BYTES = 64 * 1024


class Forwarder:
    """Listen on a loopback port and copy bytes to and from `host:port`, half-closes included."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._thread = LoopThread("forwarder")
        self._server = self._thread.run(asyncio.start_server(kept(self._serve), "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._thread.loop.call_soon_threadsafe(self._server.close)
        self._thread.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
            upload = asyncio.create_task(_copy(reader, up_writer))
            try:
                await _copy(up_reader, writer)
            finally:
                upload.cancel()
                up_writer.transport.abort()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(_BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
