"""Two connections spliced after a 101: bytes as they come, both ways.

*Rule of this file*: no byte is looked at. What one side cannot take stops the
other side's reading; the end of one direction is passed on and leaves the
other direction open, as TCP means it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class TunnelEnd(asyncio.Protocol):
    """One side; its peer is the other."""

    __slots__ = ("_tunnel", "has_ended", "peer", "transport")

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self.peer = self
        self.has_ended = False

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self.peer.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the end of this direction on; keep the other open where that can be."""
        self.has_ended = True
        other = self.peer.transport
        if self.peer.has_ended or not other.can_write_eof():
            self._tunnel.close()
            return False
        other.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the tunnel."""
        self._tunnel.lost(self, exc)

    def pause_writing(self) -> None:
        """This side takes no more: stop reading the other."""
        if not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """This side takes more."""
        if not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()


class Tunnel:
    """A splice of a caller's and an upstream's connection.

    Parameters
    ----------
    caller, upstream : asyncio.Transport
    on_close : callable
        Called once, when either side is lost.
    """

    __slots__ = ("_ends", "_on_close")

    def __init__(
        self,
        caller: asyncio.Transport,
        upstream: asyncio.Transport,
        on_close: Callable[[], None],
    ) -> None:
        caller_end, upstream_end = TunnelEnd(self, caller), TunnelEnd(self, upstream)
        caller_end.peer, upstream_end.peer = upstream_end, caller_end
        self._ends = (caller_end, upstream_end)
        self._on_close: Callable[[], None] | None = on_close

    def splice(self, from_caller: bytes, from_upstream: bytes) -> None:
        """Take both connections over, and pass on what was read beyond the heads."""
        caller, upstream = self._ends
        for end in self._ends:
            end.transport.set_protocol(end)
            end.transport.resume_reading()
        if from_upstream:
            caller.transport.write(from_upstream)
        if from_caller:
            upstream.transport.write(from_caller)

    @property
    def transports(self) -> tuple[asyncio.Transport, asyncio.Transport]:
        """The caller's and the upstream's."""
        return self._ends[0].transport, self._ends[1].transport

    def lost(self, end: TunnelEnd, exc: Exception | None) -> None:
        """One side is gone: what it sent still goes out, then the other side ends too."""
        other = end.peer.transport
        if exc is not None:
            other.abort()
        elif not other.is_closing():
            other.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def close(self) -> None:
        """End both sides after what is still to be written."""
        for end in self._ends:
            if not end.transport.is_closing():
                end.transport.close()

    def abort(self) -> None:
        """End both sides at once."""
        for end in self._ends:
            end.transport.abort()
