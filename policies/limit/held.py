"""Places of ours for which calls found room, while it is not known what the others have.

*Rule of this file*: refusals of our own calls in, a bound on our own places out. For one governor
of several before an endpoint (:mod:`policies.limit.shared`).

*Theory*: an endpoint that is short of places refuses whoever finds it full. How many of *ours* were
in flight then is known to the call; what the others had is known as of the last exchange, and in a
herd that is less than they have. So the ceiling on the calls of all may be right and our part of it
still too large: a refused call gives its place back, the next in line takes it and is refused too,
and within a tenth of a second the whole line has been sent away. Hence ours is one less than the
fewest that a refused call was among, from the third refusal on, until all have told anew.

*Considered and rejected*: counting what the others *may* have (their shares of the limit) in place
of what they have told: where they are idle it takes a refusal for each place that they do not use;
waiting with the next call until the others have told (a pause of two exchanges, in which the
endpoint may be idle).
"""

from __future__ import annotations

from policies.limit.refusals import N_REFUSED_MIN, NO_CEILING


class Held:
    """A bound for some exchanges.

    Attributes
    ----------
    places : int
        Ours at most; ``NO_CEILING`` while nothing is held.
    """

    __slots__ = ("_found", "_n_refused", "_until_ns", "places")

    def __init__(self) -> None:
        self._n_refused = 0
        self._found = self.places = NO_CEILING
        self._until_ns = -1

    def on_refused(self, now_ns: int, in_flight: int, for_ns: int) -> None:
        """Note a refusal.

        Parameters
        ----------
        in_flight : int
            Calls of ours in flight when the refused one was sent, itself included.
        for_ns : int
            Until all have told anew.
        """
        self._n_refused += 1
        self._found = max(1, min(self._found, in_flight - 1))
        if self._n_refused >= N_REFUSED_MIN:
            self.places = self._found
            self._until_ns = now_ns + for_ns

    def doubt(self) -> None:
        """Hold nothing if so many refusals have taught no ceiling: what is short is no place."""
        if self._n_refused >= N_REFUSED_MIN:
            self.release()

    def heard(self) -> None:
        """Take note of an exchange: fewer refusals between two of them are an accident."""
        if self.places == NO_CEILING:
            self.release()

    def tick(self, now_ns: int) -> None:
        """Release what was held for long enough."""
        if self.places != NO_CEILING and now_ns >= self._until_ns:
            self.release()

    def release(self) -> None:
        """Hold nothing."""
        self._n_refused = 0
        self._found = self.places = NO_CEILING
        self._until_ns = -1
