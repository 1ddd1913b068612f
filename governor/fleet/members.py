"""Who shares an upstream, one by one, for people: no decision rests on it.

*Rule of this file*: no I/O, no clock. What the server has been asked (``members.lua``) comes in as
its reply; what is shown comes out.

*Theory*: an exchange brings the sum of the others' rows, so that it costs the same among three as
among a thousand. Who they are is asked for separately, while somebody looks, and of at most
``N_SHOWN`` rows. A row's age is told by when it lapses: each renewal moves that by the same time.
Who is missing from a reply after it has been in one is shown as gone for a while.

Shares are what the rule gives (:mod:`policies.share`) for the demands of that instant; each
governor's own may differ for a moment, while it ramps or goes on alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from governor.fleet import row as at
from governor.fleet.member import LAPSE_FACTOR, Member
from policies.share import N_BINS, bin_of, fair_part

N_SHOWN = 64
"""Rows read at most; the other governors are in the sums."""

GONE_NS = 60_000_000_000
"""For how long who is gone is still shown."""

ASKED = (at.WAITING, at.DEMAND, at.ARRIVED)
"""What is read of each row, beside the calls in flight."""

ARGUMENTS = (N_SHOWN, *ASKED, at.ENDPOINTS, at.PER_ENDPOINT)


def label_of(who: bytes) -> str:
    """Return what a governor is called: it drew its name at random when it started."""
    return f"governor-{who.decode('ascii', 'replace')[:8]}"


class Seen(NamedTuple):
    """One governor, when it was last in a reply."""

    at_ns: int
    age_ms: int
    leads: bool
    in_flight: int
    waiting: int
    demand: int
    arrived: int


class Members:
    """Those who share one upstream.

    Parameters
    ----------
    member : Member
        Our own part.
    who : bytes
        This governor among all.
    """

    def __init__(self, member: Member, who: bytes) -> None:
        self._member = member
        self._who = who
        self._looked_at_ns = -1
        self._seen: dict[bytes, Seen] = {}

    def take(self, now_ns: int, reply: Sequence[Any]) -> None:
        """Take in what the server tells."""
        now_ms, leader = reply[0], reply[1]
        life_ms = LAPSE_FACTOR * self._member.stale_ns // 1_000_000
        self._looked_at_ns = now_ns
        for who, lapses_at_ms, *values in reply[3:]:
            age_ms = max(0, life_ms - (lapses_at_ms - now_ms))
            self._seen[who] = Seen(now_ns, age_ms, who == leader, *values)
        gone = [who for who, seen in self._seen.items() if now_ns - seen.at_ns > GONE_NS]
        if len(self._seen) - len(gone) > 2 * N_SHOWN:  # a server that forgets, again and again
            gone = [who for who, seen in self._seen.items() if seen.at_ns != now_ns]
        for who in gone:
            del self._seen[who]

    def describe(self, now_ns: int) -> list[dict[str, Any]]:
        """Return this governor and those that were seen, the busiest first."""
        member = self._member
        demands = {who: x.demand for who, x in self._seen.items() if self._is_there(x)}
        shares = divide(demands, member)
        others = [
            self._describe_other(now_ns, who, seen, shares.get(who))
            for who, seen in self._seen.items()
            if who != self._who
        ]
        others.sort(key=lambda x: (-x["demand"], x["who"]))
        return [self._describe_own(now_ns), *others]

    def _is_there(self, seen: Seen) -> bool:
        return seen.at_ns == self._looked_at_ns

    def _describe_own(self, now_ns: int) -> dict[str, Any]:
        member, gate = self._member, self._member.gate
        state = "leads" if member.is_leader else "up"
        return {
            "who": label_of(self._who),
            "is_own": True,
            "state": state if member.is_fresh else "alone",
            "heard_s": member.age_ns(now_ns) / 1e9 if member.epoch else None,
            "share": member.share,
            "in_flight": gate.in_flight,
            "waiting": gate.line_length,
            "demand": member.own[at.DEMAND],
            "arrived": gate.ledger.n_arrived,
        }

    def _describe_other(
        self, now_ns: int, who: bytes, seen: Seen, share: float | None
    ) -> dict[str, Any]:
        member = self._member
        if not self._is_there(seen):
            state = "gone"
        elif not member.is_fresh:
            state = "not known"
        elif seen.age_ms * 1_000_000 > member.stale_ns:
            state = "silent"
        else:
            state = "leads" if seen.leads else "up"
        return {
            "who": label_of(who),
            "is_own": False,
            "state": state,
            "heard_s": (now_ns - seen.at_ns) / 1e9 + seen.age_ms / 1e3,
            "share": share if state != "gone" else 0.0,
            "in_flight": seen.in_flight,
            "waiting": seen.waiting,
            "demand": seen.demand,
            "arrived": seen.arrived,
        }


def divide(demands: dict[bytes, int], member: Member) -> dict[bytes, float]:
    """Return each one's share of the places, as the rule gives it for these demands."""
    places = float(sum(x.total for x in member.limits))
    n_asking, asked = [0] * N_BINS, [0] * N_BINS
    for demand in demands.values():
        if demand > 0:
            n_asking[bin_of(demand)] += 1
            asked[bin_of(demand)] += demand
    shares = {}
    for who, demand in demands.items():
        others_n, others_asked = n_asking.copy(), asked.copy()
        if demand > 0:
            others_n[bin_of(demand)] -= 1
            others_asked[bin_of(demand)] -= demand
        n_governors = max(len(demands), member.n_governors)
        shares[who] = min(
            1.0, fair_part(demand, others_n, others_asked, places, n_governors) / places
        )
    return shares
