"""A blocking HTTP/1.1 client that shows the bytes: field order, case, framing, trailers, interims.

Real clients tidy up what they receive; this one does not, so that a proxy's changes are seen.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Self

Field = tuple[bytes, bytes]


@dataclass
class WireResponse:
    """One response as it stood on the wire. `framing` says how its end was known."""

    version: bytes
    status: int
    reason: bytes
    fields: list[Field]
    body: bytes = b""
    framing: str = "none"
    trailers: list[Field] = field(default_factory=list)
    interims: list[tuple[int, list[Field]]] = field(default_factory=list)

    def all(self, name: bytes) -> list[bytes]:
        """Every value of the field `name` (lower case), in order."""
        return [value for key, value in self.fields if key.lower() == name]

    def get(self, name: bytes) -> bytes | None:
        """The first value of the field `name` (lower case)."""
        return next(iter(self.all(name)), None)


class WireClient:
    """One TCP connection: write any bytes, read responses one by one."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self.authority = url.removeprefix("http://")
        host, _, port = self.authority.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Write `data` whole."""
        self.socket.sendall(data)

    def request(
        self,
        method: str,
        target: bytes,
        fields: list[Field] | None = None,
        body: bytes = b"",
        version: bytes = b"HTTP/1.1",
    ) -> WireResponse:
        """Send one request with a Host field and `fields` verbatim; read its response."""
        self.send(self.head(method, target, fields, body, version) + body)
        return self.read_response(method)

    def head(
        self,
        method: str,
        target: bytes,
        fields: list[Field] | None = None,
        body: bytes = b"",
        version: bytes = b"HTTP/1.1",
    ) -> bytes:
        """The bytes of a head; Content-Length is added when `body` is not empty."""
        lines = [method.encode() + b" " + target + b" " + version]
        lines.append(b"Host: " + self.authority.encode())
        lines += [name + b": " + value for name, value in fields or []]
        if body:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def read_response(self, method: str = "GET") -> WireResponse:
        """Read one final response, with the interim ones that came before it."""
        interims: list[tuple[int, list[Field]]] = []
        while True:
            response = self.read_head()
            if response.status >= 200 or response.status == 101:
                break
            interims.append((response.status, response.fields))
        response.interims = interims
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        self.read_body(response)
        return response

    def read_head(self) -> WireResponse:
        """Read one head, interim or final, and nothing after it."""
        lines = [line for line in self._until(b"\r\n\r\n")[:-4].split(b"\r\n")]
        version, _, rest = lines[0].partition(b" ")
        status, _, reason = rest.partition(b" ")
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            assert colon, f"not a field line: {line!r}"
            fields.append((name, value.strip(b" \t")))
        return WireResponse(version, int(status), reason, fields)

    def read_body(self, response: WireResponse) -> None:
        """Read the body that `response`'s own fields announce."""
        if b"chunked" in (response.get(b"transfer-encoding") or b"").lower():
            response.framing = "chunked"
            response.body = b"".join(iter(self.read_chunk, b""))
            response.trailers = self.read_trailers()
        elif (length := response.get(b"content-length")) is not None:
            response.framing = "length"
            response.body = self.read_exactly(int(length))
        else:
            response.framing = "close"
            response.body = self.read_to_end()

    def read_chunk(self) -> bytes:
        """Read one chunk of a chunked body; empty at the last."""
        size = int(self._until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            return b""
        data = self.read_exactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    def read_trailers(self) -> list[Field]:
        """Read the trailer section after the last chunk."""
        trailers: list[Field] = []
        while (line := self._until(b"\r\n")) != b"\r\n":
            name, _, value = line[:-2].partition(b":")
            trailers.append((name, value.strip(b" \t")))
        return trailers

    def read_exactly(self, n_bytes: int) -> bytes:
        """Read `n_bytes` or fail with ConnectionError."""
        while len(self._buffer) < n_bytes:
            self._fill()
        data = bytes(self._buffer[:n_bytes])
        del self._buffer[:n_bytes]
        return data

    def read_to_end(self) -> bytes:
        """Read until the peer closes its side."""
        while block := self.socket.recv(65536):
            self._buffer += block
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def is_closed_by_peer(self) -> bool:
        """Wait for the peer's end of file; False if bytes come instead."""
        if self._buffer:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            self._fill()
        return self.read_exactly(at + len(mark))

    def _fill(self) -> None:
        block = self.socket.recv(65536)
        if not block:
            raise ConnectionError(f"closed by the peer after {bytes(self._buffer[:200])!r}")
        self._buffer += block
