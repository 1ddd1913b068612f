"""What a gate is told of a simulated call: what the real rim reads of the real caller's bytes.

*Rule of this file*: heads are written by the load generator's own writer and read by the
proxy's own reader, once for each kind of call; so a hint that a client sends, or does not,
is in the simulation exactly if it is on the wire.

Only the names are others: a running rim hashes them with a secret of its process, here
they are counted, so that the same seed gives the same run.
"""

from __future__ import annotations

from copy import copy

import httptools

from governor.core.arrival import Arrival
from governor.core.identity import Identities
from governor.load.laws import LAWS
from governor.load.plan import Group
from governor.load.wire import Names, Writer
from governor.proxy.arrivals import ArrivalReader
from governor.proxy.headers import RequestHead
from governor.proxy.peer import Peer

HOST = "service.example"
PEER = Peer("192.0.2.7", 40_000)
FINGERPRINT, KIND = 1, 1
"""All calls of a scenario's groups are alike: one path, one method, one length."""


class Templates:
    """Arrivals of one group by the number of retries made."""

    def __init__(self, group: Group) -> None:
        law = LAWS[group.client]
        self._most = law.max_retries if group.max_retries is None else group.max_retries
        self._writer = Writer(group, HOST, "", self._most + 1)
        self._head = self._writer.head(0, Names("agent", "session"))
        self._by_retries: dict[int, Arrival] = {}
        self._reader = ArrivalReader(Identities(), salt=b"simulated")

    def arrival(self, retries: int) -> Arrival:
        """Return a new arrival, with nobody's name on it yet."""
        known = self._by_retries.get(retries)
        if known is None:
            data = self._writer.request(self._head, retries=retries)
            known = self._reader.read(read_head(data), PEER, 0)
            known.fingerprint, known.kind = FINGERPRINT, KIND
            self._by_retries[retries] = known
        return copy(known)


class _Fields:
    """What httptools calls back."""

    def __init__(self, head: RequestHead) -> None:
        self.on_header = head.add


def read_head(data: bytes) -> RequestHead:
    """Return the head of one request as the data plane reads it."""
    head = RequestHead()
    parser = httptools.HttpRequestParser(_Fields(head))
    parser.feed_data(data)
    method, target, version = data[: data.index(b"\r\n")].split(b" ")
    head.finish(method, target, version[5:].decode(), data[: data.index(b"\r\n\r\n") + 4])
    return head
