"""The two ends of a shared call: the exchange that makes it, and each caller's share in it.

*Rule of this file*: what stands in place of something else. A carrier is an
exchange whose caller is a flight; a member is what a caller's exchange has in
place of a connection. Who shares, and at what pace, is the flight's
(:mod:`governor.proxy.coalesce`).
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, ClassVar, cast

from governor.proxy import endings, refusals
from governor.proxy.exchange import Exchange
from governor.proxy.framing import HEAD_END
from governor.proxy.state import DONE, STREAMING
from policies.decision import Outcome

if TYPE_CHECKING:
    from governor.proxy.coalesce import Flight
    from governor.proxy.downstream import Downstream
    from governor.proxy.response import ResponseHead


MAX_BEHIND_BYTES = 1 << 20
"""Of an answer, what one member may leave unread while another reads on: answers up to
here are never cut off, and 1,000 members of one call take 1 GB at the very worst."""


class Member:
    """One caller's share of a call; stands where its exchange would have a connection."""

    __slots__ = ("exchange", "flight", "is_paused")

    is_reusable: ClassVar[bool] = True
    is_read_paused: ClassVar[bool] = False
    n_left_bytes: ClassVar[int] = -1

    def __init__(self, flight: Flight, exchange: Exchange) -> None:
        self.flight = flight
        self.exchange = exchange
        self.is_paused = False

    @property
    def is_far_behind(self) -> bool:
        """Whether this caller has left more unread than a shared call may keep for it."""
        downstream = self.exchange.downstream
        if not self.is_paused or downstream is None:
            return False
        return downstream.transport.get_write_buffer_size() > MAX_BEHIND_BYTES

    @property
    def is_event_stream(self) -> bool:
        """Whether the answer may pause as it likes."""
        connection = self.flight.carrier.connection
        return connection is not None and connection.is_event_stream

    def pause_reading(self) -> None:
        """This caller does not keep up."""
        self.is_paused = True
        self.flight.weigh_pace()

    def resume_reading(self) -> None:
        """It reads again."""
        self.is_paused = False
        self.flight.weigh_pace()

    def release(self, now_ns: int) -> None:
        """It has got its answer."""
        self.flight.part(self)

    def close(self) -> None:
        """It has left, or is cut off."""
        self.flight.part(self)


class Carrier(Exchange):
    """The exchange that makes the call of a flight."""

    __slots__ = ("flight",)

    is_carrier: ClassVar[bool] = True

    def __init__(self, flight: Flight, first: Exchange, now_ns: int) -> None:
        self.flight = flight
        caller = cast("Downstream", flight)
        super().__init__(caller, first.head, first.route, first.request_id, now_ns)
        self.keep_alive = self.is_request_done = True

    def encode_head(self, parsed: ResponseHead, head: bytes, is_weighed: bool = False) -> bytes:
        """Return the head for all, once those have gone that may not share it."""
        out = super().encode_head(parsed, head, is_weighed)
        if out and not is_weighed:
            self.flight.close_to_others(head)
        return out

    def finish(self, data: bytes, now_ns: int) -> None:
        """Give the last bytes to all; part from the upstream."""
        self.state = STREAMING
        self.flight.finish(data, now_ns)
        super().finish(b"", now_ns)

    def relay_interim(self, head: bytes) -> None:
        """Pass a 1xx answer on to all."""
        self.sent = None
        for member in list(self.flight.members):
            member.exchange.relay_interim(head)

    def close(self, now_ns: int, outcome: Outcome, status: int) -> None:
        """Close the lease; the requests themselves are counted where their callers are."""
        self.state = DONE
        lease = self.lease
        if lease is not None:
            self.lease = lease.owner = None
            try:
                endings.apply_all(
                    self.gate.depart(now_ns, lease, outcome, status, self.retry_after_ns)
                )
            except Exception as error:
                self.stats.n_faults += 1
                self.server.report_fault(error)
        self.decision = self.downstream = None
        self.server.abandoned.discard(self)
        self.flight.end()


def begin(exchange: Exchange, carrier: Exchange, data: bytes) -> None:
    """Give a member the beginning of an answer, its head first."""
    exchange.begin_stream(_for_member(exchange, carrier, data), carrier.stamp_ns)


def relay(exchange: Exchange, carrier: Exchange, data: bytes) -> None:
    """Give a member the next part."""
    exchange.relay(data)


def finish(exchange: Exchange, carrier: Exchange, data: bytes) -> None:
    """Give a member the last part."""
    exchange.finish(data, monotonic_ns())


def answer(exchange: Exchange, carrier: Exchange, data: bytes) -> None:
    """Give a member all of an answer."""
    exchange.finish(_for_member(exchange, carrier, data), monotonic_ns())


def _for_member(exchange: Exchange, carrier: Exchange, data: bytes) -> bytes:
    """Return an answer's beginning for one member: its connection, and in a storm its slot."""
    exchange.status = carrier.status
    exchange.retry_after_ns = carrier.retry_after_ns
    if exchange.status in refusals.STATUSES:
        data = refusals.give_slot(exchange, data)
    downstream = cast("Downstream", exchange.downstream)
    if exchange.keep_alive and not downstream.is_draining:
        return data
    exchange.keep_alive = False
    end = data.index(HEAD_END) + 2
    return b"%bConnection: close\r\n%b" % (data[:end], data[end:])
