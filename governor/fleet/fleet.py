"""This governor in its fleet: one talk with the server per upstream, started and stopped together.

*Rule of this file*: construction, life, and what people are shown.

*Theory*: each upstream has keys of its own in one hash slot, so a cluster spreads upstreams over
its nodes. Keys hold a digest of the endpoints and of the format of rows and words: governors that
were told differently of an upstream, or that tell each other differently, do not share it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from governor.config.fleet import Fleet as FleetConfig
from governor.core.gate import Gate
from governor.fleet import row as at
from governor.fleet.client import Counts, Talker, make_client
from governor.fleet.member import Member
from governor.fleet.members import label_of

NAME_BYTES = 12
"""Of the name that a process draws for itself: a restart is another governor."""

LOOK_NS = 900_000_000
"""Who the others are is asked for once a second at most, however many look."""

CANCEL_S = 0.2
"""Between two requests to end a talk."""


def keys_of(fleet: str, upstream: str, endpoints: Sequence[str]) -> tuple[bytes, bytes]:
    """Return the two keys of an upstream.

    Examples
    --------
    >>> keys_of("governor", "search", ["http://10.0.0.1:80"])[0]
    b'{governor:search:1ded6d33}:rows'
    """
    told = hashlib.sha256("\n".join((at.FORMAT, *endpoints)).encode()).hexdigest()[:8]
    tag = f"{{{fleet}:{upstream}:{told}}}"
    return f"{tag}:rows".encode(), f"{tag}:lapses".encode()


class Fleet:
    """All upstreams' parts.

    Parameters
    ----------
    gates : mapping of str to Gate
        Made with :class:`~policies.limit.shared.SharedLimit`.
    endpoints : mapping of str to sequence of str
        URLs by upstream.
    """

    def __init__(
        self,
        config: FleetConfig,
        gates: Mapping[str, Gate],
        endpoints: Mapping[str, Sequence[str]],
    ) -> None:
        self.config = config
        self._client = make_client(config)
        self._who = secrets.token_hex(NAME_BYTES).encode()
        tick_ns = int(config.tick_s * 1e9)
        self.talkers = {
            name: Talker(
                self._client,
                Member(gate, tick_ns),
                keys_of(config.name, name, endpoints[name]),
                self._who,
                config,
            )
            for name, gate in gates.items()
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._looked_at_ns = -LOOK_NS

    # -- life -------------------------------------------------------------------

    def start(self) -> None:
        """Begin to exchange; waits for nothing."""
        self._tasks = [asyncio.ensure_future(talker.run()) for talker in self.talkers.values()]

    def tick(self, now_ns: int) -> None:
        """See to views that are old; called with the gates' ticks."""
        for talker in self.talkers.values():
            try:
                talker.member.tick(now_ns)
            except Exception:
                talker.counts.n_faults += 1

    async def close(self) -> None:
        """Leave the fleet; idempotent."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        pending = set(tasks)
        while pending:  # a cancellation may be lost in a time-out of the same instant
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=CANCEL_S)
        known = [x for x in self.talkers.values() if x.member.is_fresh]
        await asyncio.gather(*(talker.leave() for talker in known))
        await self._client.aclose()

    # -- for people -------------------------------------------------------------

    async def look(self, now_ns: int) -> None:
        """Bring up to date who the others are; waits for the server, within its time-out."""
        if now_ns - self._looked_at_ns < LOOK_NS or not self._tasks:
            return
        self._looked_at_ns = now_ns
        known = [x for x in self.talkers.values() if x.member.is_fresh]
        await asyncio.gather(*(talker.look() for talker in known))

    def describe(self, now_ns: int) -> dict[str, Any]:
        """Return what is shared, and how well."""
        return {
            "server": self.config.shown_url,
            "who": label_of(self._who),
            "tick_s": self.config.tick_s,
            "upstreams": {
                name: describe_member(talker.member, talker.counts, now_ns)
                | {"members": talker.members.describe(now_ns)}
                for name, talker in self.talkers.items()
            },
        }


def describe_member(member: Member, counts: Counts, now_ns: int) -> dict[str, Any]:
    """Return one upstream's view."""
    gate, sums, own = member.gate, member.sums, member.own
    storm = gate.others.storm
    return {
        "in_words": put_in_words(member, counts),
        "server_state": state_of(member, now_ns),
        "is_fresh": member.is_fresh,
        "age_s": member.age_ns(now_ns) / 1e9,
        "governors": member.n_governors,
        "rank": member.rank,
        "is_leader": member.is_leader,
        "share": member.share,
        "limit": sum(x.total for x in member.limits),
        "own_limit": gate.limit,
        "fleet": {
            "in_flight": sum(x.elsewhere for x in member.limits) + gate.in_flight,
            "waiting": sums[at.WAITING] + gate.line_length,
            "demand": sums[at.DEMAND] + own[at.DEMAND],
            "invited": sums[at.INVITED] + own[at.INVITED],
            "organic_hz": (sums[at.ORGANIC_MILLI_HZ] + own[at.ORGANIC_MILLI_HZ]) / at.MILLI,
            "arrived": sums[at.ARRIVED] + gate.ledger.n_arrived,
            "useful_s": (sums[at.USEFUL_MS] + own[at.USEFUL_MS]) / at.MILLI,
            "wasted_s": (sums[at.WASTED_MS] + own[at.WASTED_MS]) / at.MILLI,
        },
        "storm": {
            "is_on": storm.is_on,
            "alarms": storm.n_alarms,
            "crossing_s": storm.crossing_s if storm.is_on else None,
        },
        "exchanges": {
            "done": counts.n_done,
            "failed": counts.n_failed,
            "faults": counts.n_faults,
            "last_error": counts.last_error,
            "last_s": counts.last_ns / 1e9,
            "mean_s": counts.sum_ns / counts.n_done / 1e9 if counts.n_done else 0.0,
            "sum_s": counts.sum_ns / 1e9,
            "bytes_out": counts.n_bytes_out,
            "numbers_in": counts.n_words_in,
        },
    }


def state_of(member: Member, now_ns: int) -> str:
    """Return in a word how this governor stands to the server."""
    if not member.epoch:
        return "not reached yet"
    if not member.is_fresh:
        return "local only"
    if not member.is_ramping(now_ns):
        return "up"
    return "rejoining" if member.is_rejoining else "settling"


def put_in_words(member: Member, counts: Counts) -> str:
    """Return one sentence on how far the view can be relied on."""
    if member.is_fresh:
        if member.n_governors == 1:
            return "No other governor shares this upstream."
        leads = "this one leads" if member.is_leader else "another one leads"
        return (
            f"{member.n_governors} governors share this upstream as one; {leads}; "
            f"{100 * member.share:.0f} % of the places are ours."
        )
    why = f" ({counts.last_error})" if counts.last_error else ""
    if not member.epoch:
        return f"Alone: the fleet's server has not been reached yet{why}."
    return (
        f"Alone{why}: the view of {member.n_governors} governors is old; "
        f"{100 * member.share:.0f} % of the places are ours meanwhile."
    )
