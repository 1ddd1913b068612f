"""When a gate needs no ticks, and whose turn it is to be looked at all the same.

*Rule of this file*: whether anything of a gate waits for time. How each part takes a late tick
is the part's own matter (``is_settled``).

*Theory*: a tick of an upstream that nobody calls lets averages fade, and no more. What fades by
itself may fade later: one tick after n that were left out does what the n would have done, where
each part is *settled*, that is, has nothing counted that the next tick would learn from, and no
bound of its own that ends with time. Windows are closed bucket by bucket, whoever asks
(:mod:`signals.windows`). So a gate rests when for ``QUIET_NS`` nothing has arrived, nothing holds a
place, waits, is invited or parked, no caller is out that may come back, and every part is settled.
An exempt call that goes on (an idle event stream) keeps nobody awake: it teaches nothing. Whatever
wakes it makes up first for the ticks that it has missed, up to the last that was due, ``TICK_NS``
apart.

*Regime*: ticks on time. A loop that is late has ticks at other instants; that is as if it had not
been. Where others call the same upstream through other governors no gate rests, for what they
tell is learned at every tick.

*Cost*: a comparison per arrival. ``LOOK_TICKS`` ticks go by between two looks at a gate that
rests, so that waking it closes 5 s of buckets at most, and what is shown of it is no older.
*Considered and rejected*: a slower tick for all that are idle (what learns by the tick would learn
otherwise); no look at all (the first call after an hour would pay for the hour).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from governor.core.gate import Gate
    from governor.core.parts import GateParts

TICK_NS: Final = 50_000_000
"""Between two ticks that are on time."""

QUIET_NS: Final = 5_000_000_000
"""Without a call for so long, a gate may rest: waking it costs as much as some ticks."""

LOOK_TICKS: Final = 100
"""Ticks of which a gate that rests takes part in one."""


def may_rest(parts: GateParts, now_ns: int) -> bool:
    """Whether time alone changes nothing of a gate that could not be made up for."""
    gate, shaping = cast("Gate", parts), parts.shaping
    ramp = shaping.acceleration
    return (
        not gate.line_length
        and not gate.outlook.is_storm
        and not gate.others.storm.is_on
        and not gate.reservations.n_outstanding
        and gate.refused.is_idle(now_ns)
        and gate.restrained.is_idle
        and all(x.limit.is_settled for x in gate.endpoints)
        and shaping.quota.is_settled
        and not shaping.scope.is_watching
        and shaping.herd.is_settled
        and shaping.containment.is_settled
        and (ramp is None or ramp.is_settled)
        and gate.signals.is_settled
    )


class Rota:
    """Whose turn it is at a tick: all that do not rest, and a few of those that do.

    Parameters
    ----------
    gates : sequence of Gate
    """

    __slots__ = ("_gates", "_n_looked_at", "_next")

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = tuple(gates)
        self._n_looked_at = -(-len(self._gates) // LOOK_TICKS)
        self._next = 0

    def due(self) -> list[int]:
        """Return their numbers."""
        gates = self._gates
        due = [idx for idx, gate in enumerate(gates) if not gate.rests]
        if len(due) < len(gates):
            for _ in range(self._n_looked_at):
                if gates[self._next].rests:
                    due.append(self._next)
                self._next = (self._next + 1) % len(gates)
        return due
