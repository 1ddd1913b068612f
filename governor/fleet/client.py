"""The talk with Redis or Valkey: one call per exchange, in its own task, awaited by no request.

*Rule of this file*: bytes to the server and back; what they mean is the member's. Every wait has a
bound. A server that is slow, full, gone or wrong is an exchange without a reply, told by its kind.

*Theory*: time-outs are far above what a server on the same network takes (a call here takes less
than a millisecond) and below three exchanges, so that a hanging server is found out as fast as a
dead one. After a failure the next try comes after a delay that doubles, drawn between half and the
whole of it, so that a fleet does not come back together; at most a second, so that one view is back
within two.

*Considered and rejected*: the client library's own retries (they would wait inside the exchange,
and repeat what the next exchange says better); publish and subscribe (each governor would hear from
all others: work that grows with their number).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from importlib.resources import files
from time import monotonic_ns
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from governor.config.fleet import Fleet as FleetConfig
from governor.fleet.member import Call, Member
from governor.fleet.members import ARGUMENTS, Members

SCRIPT = files("governor.fleet").joinpath("exchange.lua").read_text(encoding="utf-8")
MEMBERS = files("governor.fleet").joinpath("members.lua").read_text(encoding="utf-8")
DIGEST = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

BACKOFF_MAX_S = 1.0
"""Longest pause between two tries."""

GONE = (RedisError, OSError, TimeoutError)
"""What a server that is slow, full or gone makes of an exchange."""

_log = logging.getLogger("governor")


def make_client(config: FleetConfig) -> Any:
    """Return a client that has not connected yet.

    Raises
    ------
    ValueError
        If the URL is not one of a Redis server.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": config.connect_timeout_s,
        "socket_timeout": config.timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": False,
        "client_name": "governor",
    }
    if config.username is not None:
        options["username"] = config.username
    if config.password is not None:
        options["password"] = config.password.get_secret_value()
    if config.url.startswith("rediss://") and config.ca_file is not None:
        options["ssl_ca_certs"] = config.ca_file
    if config.cluster:
        return RedisCluster.from_url(config.url, **options)
    return Redis.from_url(config.url, **options)


class Counts:
    """What the exchanges of one upstream came to.

    Attributes
    ----------
    n_done, n_failed : int
        Exchanges with and without a reply.
    n_faults : int
        Of those that failed, by a bug of ours.
    n_words_in : int
        Numbers heard.
    n_bytes_out : int
        Bytes of changes and words told.
    last_ns, sum_ns : int
        Of round trips.
    last_error : str
        Kind of the last failure; empty while all is well.
    """

    __slots__ = (
        "last_error",
        "last_ns",
        "n_bytes_out",
        "n_done",
        "n_failed",
        "n_faults",
        "n_words_in",
        "sum_ns",
    )

    def __init__(self) -> None:
        self.n_done = self.n_failed = self.n_faults = 0
        self.n_words_in = self.n_bytes_out = 0
        self.last_ns = self.sum_ns = 0
        self.last_error = ""


class Talker:
    """The exchanges of one upstream.

    Parameters
    ----------
    client : redis.asyncio.Redis or RedisCluster
    keys : tuple of bytes
        The script's two, of one hash slot.
    who : bytes
        This governor among all.
    """

    def __init__(
        self,
        client: Any,
        member: Member,
        keys: tuple[bytes, bytes],
        who: bytes,
        config: FleetConfig,
    ) -> None:
        self.member = member
        self.members = Members(member, who)
        self.counts = Counts()
        self._client = client
        self._keys = keys
        self._who = who
        self._tick_s = config.tick_s
        self._timeout_s = config.connect_timeout_s + config.timeout_s
        self._pause_s = 0.0

    async def run(self) -> None:
        """Exchange until cancelled."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + random.random() * self._tick_s
        while True:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            is_done = await self.exchange()
            if is_done:
                self._pause_s = 0.0
                due_s = max(due_s + self._tick_s, loop.time())
                continue
            self._pause_s = min(BACKOFF_MAX_S, max(self._tick_s, 2.0 * self._pause_s))
            due_s = loop.time() + self._pause_s * (0.5 + 0.5 * random.random())

    async def exchange(self) -> bool:
        """Exchange once; return whether there was a reply."""
        member, counts = self.member, self.counts
        try:
            is_again = True
            while is_again:
                sent_at_ns = monotonic_ns()
                call = member.call(sent_at_ns)
                async with asyncio.timeout(self._timeout_s):
                    reply = await self._ask(call)
                now_ns = monotonic_ns()
                is_again = member.take(now_ns, sent_at_ns, reply)
                counts.n_done += 1
                counts.n_words_in += len(reply)
                counts.n_bytes_out += len(call.changes) + len(call.word)
                counts.last_ns = now_ns - sent_at_ns
                counts.sum_ns += counts.last_ns
                if is_again and call.base < 0:  # the whole row was sent and not taken
                    raise ValueError("row refused")
        except Exception as error:  # of ours too: requests go on without a view
            counts.n_failed += 1
            counts.n_faults += not isinstance(error, GONE)
            if not counts.last_error:
                _log.warning(
                    "fleet: no exchange about upstream %s (%s): %s",
                    *(member.gate.name, type(error).__name__, error),
                )
            counts.last_error = type(error).__name__
            member.lose()
            return False
        if counts.last_error:
            _log.warning("fleet: exchanges about upstream %s go on", member.gate.name)
        counts.last_error = ""
        return True

    async def look(self) -> None:
        """Ask who shares this upstream, for people; where that fails, what was seen stays."""
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._client.eval(MEMBERS, 2, *self._keys, *ARGUMENTS)
            self.members.take(monotonic_ns(), reply)
        except GONE:
            return

    async def leave(self) -> None:
        """Take our row out at once, instead of letting it lapse."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._ask(Call(0, -1, b"", 0, 0, b""))
        except GONE:  # it lapses by itself
            return

    async def _ask(self, call: Call) -> list[Any]:
        arguments = (
            *self._keys,
            self._who,
            call.seq,
            call.base,
            call.changes,
            call.life_ms,
            call.score,
            call.word,
        )
        try:
            reply = await self._client.evalsha(DIGEST, 2, *arguments)
        except NoScriptError:
            reply = await self._client.eval(SCRIPT, 2, *arguments)
        return list(reply)
