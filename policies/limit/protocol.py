"""What the gate asks of an in-flight limit: one object per endpoint.

*Rule of this file*: the contract only. Every limit in the project, and every
peer it is measured against in ``bench/limit``, has exactly this interface, so
that a comparison changes nothing but the limit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from mypy_extensions import mypyc_attr

NS_PER_S: Final = 1_000_000_000


@mypyc_attr(allow_interpreted_subclasses=True)
class Limit(ABC):
    """How many requests may be in flight at one endpoint.

    Attributes
    ----------
    limit : int
        The limit now, >= 1. A plain attribute: it is read on the hot path.
    """

    __slots__ = ("limit",)

    limit: int

    @property
    def n_ahead(self) -> int:
        """Calls beyond the limit that may take the next places to come free, before they are."""
        return 0

    @abstractmethod
    def on_dispatch(self, now_ns: int, in_flight: int, is_bound: bool) -> int:
        """Note a request sent; return the phase stamp that its lease keeps.

        ``in_flight`` includes this request; ``is_bound`` tells that it took the
        last place or came from the line.
        """

    @abstractmethod
    def on_late(self, phase: int, late_ns: int) -> None:
        """Note that a request of a phase went out so much later than was noted.

        Told before its answer, which is then told with the later instant.
        """

    @abstractmethod
    def on_answer(
        self,
        now_ns: int,
        phase: int,
        dispatched_at_ns: int,
        in_flight_at_dispatch: int,
        in_flight: int,
    ) -> None:
        """Note the first byte of a normal answer; ``in_flight`` still includes it."""

    @abstractmethod
    def on_depart(self, now_ns: int, held_ns: int, is_answered: bool) -> None:
        """Note a closed lease, ``held_ns`` after its dispatch.

        ``is_answered`` is False for a lease that never gave a sample (unsent,
        broken off, refused, failed): it must not feed the estimator.
        """

    @abstractmethod
    def on_refused(self, now_ns: int, in_flight_at_dispatch: int) -> None:
        """Note that the upstream turned a call away for want of capacity (429, 503).

        ``in_flight_at_dispatch`` includes the call itself.
        """

    def is_beyond(self, in_flight_at_dispatch: int) -> bool:
        """Whether want of places explains the refusal of a call that found so many before it.

        Never where no call is sent beyond a ceiling that is known.
        """
        return False

    @abstractmethod
    def lift(self, now_ns: int) -> None:
        """Take note that what the upstream is short of is a rate, not places."""

    @abstractmethod
    def disbelieve(self, now_ns: int) -> None:
        """Take note that the refusals say nothing of the upstream: they spare some callers."""

    @abstractmethod
    def tick(self, now_ns: int, in_flight: int) -> None:
        """Do what depends on time alone; called about every 50 ms."""

    @property
    @abstractmethod
    def is_settled(self) -> bool:
        """Whether one late tick does what many on time would, while no call is sent."""

    @property
    @abstractmethod
    def is_stalled(self) -> bool:
        """Whether the endpoint answers hardly anything of what it has."""

    @abstractmethod
    def capacity_hz(self, now_ns: int) -> float:
        """Return what the endpoint can serve, requests per second; 0.0 if unknown."""

    @abstractmethod
    def best_capacity_hz(self, now_ns: int) -> float:
        """Return the best known capacity (a slowly decaying maximum); 0.0 if unknown."""

    @abstractmethod
    def response_ns(self) -> int:
        """Return the typical time to the first byte now; 0 if unknown."""

    @abstractmethod
    def explain(self) -> dict[str, float | int | str]:
        """Return what the limit knows, for people."""
