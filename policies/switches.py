"""Which policies may act: each governs, observes or is off.

*Rule of this file*: words and the integer they are packed into, two bits a policy,
so that what a file and a route say together is one number that a request carries.

*Theory*: one mechanism for all. Whoever is about to act on a request has a reason,
the reason has a policy, and the policy has a state: ``govern`` acts; ``observe``
decides the same, counts the reason and lets the request go on as if it had not been
asked; ``off`` is not even asked.

What observes does not change what the others see: a crowd that is only observed
stands with those who come by themselves.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from policies.decision import Reason

GOVERN: Final = 0
OBSERVE: Final = 1
OFF: Final = 2
STATES: Final = ("govern", "observe", "off")

NO_SWITCHES: Final = -1
"""What a request carries whose route says nothing: as the file says."""


class Policy(IntEnum):
    """What can be switched; the place of its two bits."""

    HOLD = 0
    CONTAIN = 1
    LIMIT = 2
    SLOTS = 3
    ABSORB = 4
    COALESCE = 5
    REROUTE = 6
    ACCELERATION = 7


class Modes(NamedTuple):
    """Each policy's state in words, in the order of :class:`Policy`."""

    hold: str = "govern"
    contain: str = "govern"
    limit: str = "govern"
    slots: str = "govern"
    absorb: str = "govern"
    coalesce: str = "govern"
    reroute: str = "govern"
    acceleration: str = "govern"

    def pack(self) -> int:
        """Return the states as one number.

        Raises
        ------
        ValueError
            A word that is no state.

        Examples
        --------
        >>> Modes().pack(), Modes(hold="observe", contain="off").pack()
        (0, 9)
        """
        for mode in self:
            if mode not in STATES:
                raise ValueError(f"{mode!r} must be govern, observe or off")
        return sum(STATES.index(mode) << 2 * place for place, mode in enumerate(self))


_ANY_OBSERVES: Final = Modes(*["observe"] * len(Policy)).pack()
_ANY_OFF: Final = Modes(*["off"] * len(Policy)).pack()

POLICY_OF: Final = {
    Reason.HELD: Policy.HOLD,
    Reason.CONTAINED: Policy.CONTAIN,
    Reason.DOOMED: Policy.CONTAIN,
    Reason.OVER_LIMIT: Policy.LIMIT,
    Reason.OVER_QUOTA: Policy.LIMIT,
    Reason.SLOT_GIVEN: Policy.SLOTS,
    Reason.NO_RETRY: Policy.SLOTS,
    Reason.ABSORBED: Policy.ABSORB,
    Reason.COALESCED: Policy.COALESCE,
    Reason.REROUTED: Policy.REROUTE,
    Reason.FALLBACK: Policy.REROUTE,
    Reason.ACCELERATING: Policy.ACCELERATION,
}
"""Whose act a reason explains."""


def state_of(switches: int, policy: Policy) -> int:
    """Return ``GOVERN``, ``OBSERVE`` or ``OFF``."""
    return switches >> 2 * policy & 3


def unpack(switches: int) -> Modes:
    """Return the states in words."""
    return Modes(*[STATES[state_of(switches, policy)] for policy in Policy])


def observes_any(switches: int) -> bool:
    """Return whether a policy observes."""
    return switches & _ANY_OBSERVES != 0


def observe_all(switches: int) -> int:
    """Return the same with everything that governs observing instead.

    Examples
    --------
    >>> unpack(observe_all(Modes(hold="off").pack()))[:3]
    ('off', 'observe', 'observe')
    """
    is_off = (switches & _ANY_OFF) >> 1
    return switches | (_ANY_OBSERVES & ~is_off)
