"""Upstreams of the proxy benchmark: fast replies by nginx, uploads and event streams by uvloop.

nginx answers before it has read a body, which no peer likes; so uploads, and
event streams, go to a small uvloop server that reads every byte and answers
after the last. It can stand in for nginx where that is missing.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import uvloop

from bench.children import HOST, Child, first_line_port, free_port, start_python
from bench.peers.nginx import nginx_command

SMALL_BODY = b'{"result":"ok","tool":"search","took_ms":3}\n'
LARGE_BODY_BYTES = 65_536
EVENT_RATE_HZ = 20
N_PHASES = 50
"""Streams are spread over this many instants of their interval, 1 ms apart at 20 Hz."""
EVENT_PAD = b"x" * 96
"""Makes an event about as long as one token of an LLM reply with its envelope."""

NGINX_CONFIG = """
  open_file_cache max=16;
  server {{
    listen {host}:{port} backlog=4096;
    default_type application/json;
    location / {{ return 200 '{small}'; }}
    location = /large {{ root {folder}; }}
  }}
}}
"""


class OriginProtocol(asyncio.Protocol):
    """Reads whole requests; answers small, large, upload and event-stream requests."""

    def __init__(self, streams: list[set[asyncio.Transport]]) -> None:
        self._streams = streams
        self._phase: set[asyncio.Transport] | None = None
        self._head = b""
        self._body_left = 0
        self._path = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the set of streams."""
        if self._phase is not None:
            self._phase.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Count body bytes down, or collect a head."""
        while data:
            if self._body_left:
                taken = min(self._body_left, len(data))
                self._body_left -= taken
                if self._body_left == 0:
                    self._answer()
                data = data[taken:]
                continue
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self._path = head.split(b" ", 2)[1]
            self._body_left = content_length(head)
            if self._body_left == 0:
                self._answer()

    def _answer(self) -> None:
        if self._path.startswith(b"/sse"):
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            self._phase = min(self._streams, key=len)
            self._phase.add(self._transport)
        elif self._path.startswith(b"/large"):
            self._transport.write(reply(b"y" * LARGE_BODY_BYTES))
        else:
            self._transport.write(reply(SMALL_BODY))


def content_length(head: bytes) -> int:
    """Return the value of Content-Length in a head, 0 if there is none."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def reply(body: bytes) -> bytes:
    """Return a whole 200 reply."""
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(body)
    ) + body


async def send_events(streams: list[set[asyncio.Transport]]) -> None:
    """Write one event to every stream in each interval, phase after phase, without drift."""
    step_s = 1.0 / EVENT_RATE_HZ / len(streams)
    next_s = time.monotonic()
    while True:
        for phase in streams:
            next_s += step_s
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            if not phase:
                continue
            event = b"data: %d %s\n\n" % (time.monotonic_ns(), EVENT_PAD)
            chunk = b"%x\r\n%s\r\n" % (len(event), event)
            for transport in phase:
                transport.write(chunk)


async def serve() -> None:
    """Listen on a free port, print it, and serve until stopped."""
    streams: list[set[asyncio.Transport]] = [set() for _ in range(N_PHASES)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: OriginProtocol(streams), HOST, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.disable()
    await send_events(streams)


def start_uvloop_origin(core: int | None) -> tuple[Child, int]:
    """Start the uvloop origin; return the process and its port."""
    child = start_python("origin", "bench.origin", [], core)
    return child, first_line_port(child)


def start_nginx_origin(core: int | None) -> tuple[Child, int]:
    """Start the nginx origin; return the process and its port."""
    folder = Path(tempfile.mkdtemp(prefix="bench-origin-"))
    folder.chmod(0o755)
    (folder / "large").write_bytes(b"y" * LARGE_BODY_BYTES)
    port = free_port()
    small = SMALL_BODY.decode().rstrip("\n")
    body = NGINX_CONFIG.format(folder=folder, host=HOST, port=port, small=small)
    child = Child("origin", nginx_command(folder, body), core, folder / "log", folder=folder)
    child.wait_port(port)
    return child, port


if __name__ == "__main__":
    try:
        uvloop.run(serve())
    except KeyboardInterrupt:
        sys.exit(0)
