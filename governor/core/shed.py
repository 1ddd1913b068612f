"""Trees of which a call was sent away lately: the next to go is one of them.

*Rule of this file*: a short memory of trees. Who is sent away at all is the dispatcher's.

*Theory*: an intent that needs all of its calls is worth nothing with one of them missing. If
each of ten trees of ten calls loses one, ten intents have failed; if one loses ten, one has.
So whoever must send somebody away takes, among those who are equally last in the line, a call
of a tree that has lost one already. Rank is not touched: nobody goes before somebody better
ranked because of it.

*Cost*: only where somebody is sent away.

*Source*: session-based admission control: L. Cherkasova, P. Phaal (IEEE Trans. Computers
51, 2002); whole requests by a consistent user hash: H. Zhou et al., "Overload control for
scaling WeChat microservices" (SoCC 2018).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

SHED_NS: Final = 2_000_000_000
"""As long as the calls of one tree keep coming side by side; its repeat is a new chance."""

N_SHED: Final = 256
"""Trees remembered; the oldest is forgotten."""


class Shed:
    """Trees that have lost a call within the last two seconds."""

    __slots__ = ("_at_ns",)

    def __init__(self) -> None:
        self._at_ns: dict[int, int] = {}

    def note(self, now_ns: int, tree: int) -> None:
        """Note that a call of ``tree`` is sent away; 0 is no tree."""
        if tree <= 0:
            return
        self._at_ns.pop(tree, None)
        if len(self._at_ns) >= N_SHED:
            del self._at_ns[next(iter(self._at_ns))]
        self._at_ns[tree] = now_ns

    def trees(self, now_ns: int) -> Collection[int]:
        """Return the trees that have lost a call lately."""
        at_ns = self._at_ns
        while at_ns:
            oldest = next(iter(at_ns))
            if now_ns - at_ns[oldest] <= SHED_NS:
                break
            del at_ns[oldest]
        return at_ns
