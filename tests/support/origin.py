"""A raw HTTP/1.1 origin: records every request byte for byte and answers with exact bytes.

Any target that no handler knows is echoed, so that unusual targets need no route. Handlers live in
`origin_answers`; a test hands in others by `Origin.add`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.loops import LoopThread, kept, wait_until

Field = tuple[bytes, bytes]
_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass
class Received:
    """One request as the origin read it. `connection` counts the TCP connections accepted."""

    connection: int
    method: str
    target: bytes
    version: bytes
    fields: list[Field]
    body: bytes = b""
    framing: str = "none"
    trailers: list[Field] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The target without its query, as latin-1 text."""
        return self.target.partition(b"?")[0].decode("latin-1")

    def query(self, name: str, default: str = "") -> str:
        """The value of `name` in the query, undecoded."""
        for pair in self.target.partition(b"?")[2].decode("latin-1").split("&"):
            key, _, value = pair.partition("=")
            if key == name:
                return value
        return default

    def get(self, name: bytes) -> bytes | None:
        """The first value of the field `name` (lower case)."""
        return next((value for key, value in self.fields if key.lower() == name), None)


class Conversation:
    """One request with its connection: what a handler reads from and writes to."""

    def __init__(
        self,
        origin: Origin,
        request: Received,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.origin, self.request = origin, request
        self.reader, self.writer = reader, writer
        self.is_kept = request.version == b"HTTP/1.1" and b"close" not in (
            request.get(b"connection") or b""
        )

    async def send(self, data: bytes) -> None:
        """Write `data` and wait until the kernel has room again."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self,
        status: int,
        body: bytes = b"",
        fields: list[Field] | None = None,
        reason: bytes = b"OK",
    ) -> None:
        """Send a response framed by Content-Length (none for 1xx, 204 and 304)."""
        lines = [b"HTTP/1.1 %d %s" % (status, reason)]
        lines += [name + b": " + value for name, value in fields or []]
        if status not in (204, 304):
            lines.append(b"Content-Length: %d" % len(body))
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        await self.send(head if self.request.method == "HEAD" else head + body)

    async def read_body(self) -> None:
        """Read the whole request body into `request`, honouring Expect: 100-continue."""
        if (self.request.get(b"expect") or b"").lower() == b"100-continue":
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.request.body = b"".join([block async for block in self.blocks()])

    async def blocks(self):  # type: ignore[no-untyped-def]
        """The request body, block by block, with its trailers read at the end."""
        request = self.request
        if b"chunked" in (request.get(b"transfer-encoding") or b"").lower():
            request.framing = "chunked"
            while size := int((await self.reader.readline()).split(b";")[0], 16):
                yield (await self.reader.readexactly(size + 2))[:-2]
            while (line := await self.reader.readline()) != b"\r\n":
                name, _, value = line[:-2].partition(b":")
                request.trailers.append((name, value.strip()))
        elif (length := request.get(b"content-length")) is not None:
            request.framing = "length"
            left = int(length)
            while left:
                block = await self.reader.read(min(left, 65536))
                if not block:
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(block)
                yield block


Handler = Callable[[Conversation], Awaitable[None]]


class Origin:
    """The server. `take` hands out what was received since the last `take`."""

    def __init__(self, handlers: dict[str, Handler] | None = None, port: int = 0) -> None:
        self._handlers: dict[str, Handler] = dict(handlers or {})
        self._received: list[Received] = []
        self._lock = threading.Lock()
        self._gates: dict[str, asyncio.Event] = {}
        self.n_connections = 0
        self.n_open = 0
        self.marks: set[str] = set()
        self.counts: dict[str, int] = {}
        self._thread = LoopThread("origin")
        self._server = self._thread.run(
            asyncio.start_server(kept(self._serve), "127.0.0.1", port, limit=_LIMIT_BYTES)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop listening and cancel every conversation."""
        self._thread.loop.call_soon_threadsafe(self._server.close)
        self._thread.close()

    def add(self, path: str, handler: Handler) -> None:
        """Answer `path` by `handler` from now on."""
        self._handlers[path] = handler

    def take(self) -> list[Received]:
        """What was received since the last call, oldest first."""
        with self._lock:
            received, self._received = self._received, []
        return received

    def record(self, request: Received) -> None:
        """Keep `request` for `take`; handlers that never return early call this themselves."""
        with self._lock:
            self._received.append(request)

    # Gates let a test decide when a handler goes on, instead of sleeping.

    def gate(self, name: str) -> asyncio.Event:
        """The gate `name`, made closed on first use. To be used on the origin's own loop."""
        return self._gates.setdefault(name, asyncio.Event())

    def open_gate(self, name: str) -> None:
        """Let every handler that waits at the gate `name` go on. From any thread."""
        self._thread.loop.call_soon_threadsafe(lambda: self.gate(name).set())

    def mark(self, name: str) -> None:
        """Note from a handler that something happened."""
        self.marks.add(name)

    def wait_for_mark(self, name: str, timeout_s: float = 5.0) -> None:
        """Wait until a handler has noted `name`."""
        wait_until(lambda: name in self.marks, timeout_s, f"mark {name!r}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        self.n_open += 1
        number = self.n_connections
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                while await self._serve_one(number, reader, writer):
                    pass
        finally:
            self.n_open -= 1
            writer.close()

    async def _serve_one(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        lines = head[:-4].split(b"\r\n")
        method, target, version = lines[0].split(b" ")
        fields = []
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            fields.append((name, value.strip(b" \t")))
        request = Received(number, method.decode(), target, version, fields)
        conversation = Conversation(self, request, reader, writer)
        handler = self._handlers.get(request.path, echo)
        await handler(conversation)
        await writer.drain()
        return conversation.is_kept


async def echo(conversation: Conversation) -> None:
    """Read the request whole, record it, answer with its own body and content type."""
    request = conversation.request
    await conversation.read_body()
    conversation.origin.record(request)
    kind = request.get(b"content-type") or b"application/octet-stream"
    await conversation.answer(200, request.body, [(b"Content-Type", kind)])


def main() -> None:
    """Serve the standard answers at the port given until standard input ends."""
    import sys

    from tests.support.origin_answers import ANSWERS

    origin = Origin(ANSWERS, int(sys.argv[1]))
    print(origin.url, flush=True)
    sys.stdin.read()
    origin.close()


if __name__ == "__main__":
    main()
