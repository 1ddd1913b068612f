"""Refusals that wait until it is known what the others had in flight.

*Rule of this file*: refusals of our own calls and what the others tell in, refusals that can be
weighed out. For one governor of several before an endpoint (:mod:`policies.limit.shared`).

*Theory*: a refusal says that what was in flight found no room. Of that ours is known to the call,
the others' as they told it last: in a herd a fraction of what they have. Weighed at once it would
teach a ceiling far below the bound, and no answer would ever show it wrong, as nothing is let in
beyond a ceiling. What is told at the next exchange is in part from before the refusal, what is told
at the second from after it; of both and of what was told before, the most counts: an endpoint that
has just been full may be half empty by then. So a ceiling errs upwards, where the next refusals
correct it at once. Until then our own places are held (:mod:`policies.limit.held`).

*Considered and rejected*: a ceiling at once that is corrected when the others have told (meanwhile
it is told to them, who believe it, and tell it in turn).
"""

from __future__ import annotations

from collections.abc import Sequence


class Met:
    """Refusals of the last two exchanges."""

    __slots__ = ("_before", "_most", "_most_before", "_new")

    def __init__(self) -> None:
        self._new: list[int] = []
        self._before: list[int] = []
        self._most = 0
        self._most_before = 0

    def note(self, in_flight: int, elsewhere: int) -> None:
        """Note a refusal.

        Parameters
        ----------
        in_flight : int
            Calls of ours in flight when the refused one was sent, itself included.
        elsewhere : int
            What the others had then, as told last.
        """
        self._new.append(in_flight)
        self._most = max(self._most, elsewhere)

    def hear(self, elsewhere: int) -> Sequence[int]:
        """Take what the others have now; return what the calls refused two exchanges ago found."""
        most = max(self._most_before, elsewhere)
        due = [x + most for x in self._before]
        self._before, self._new = self._new, []
        self._most_before, self._most = max(self._most, elsewhere), 0
        return due

    def drain(self, elsewhere: int) -> Sequence[int]:
        """Wait for no one: return what all of them found."""
        return [*self.hear(elsewhere), *self.hear(elsewhere)] if self._before or self._new else ()
