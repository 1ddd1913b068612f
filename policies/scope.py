"""Whom an upstream's refusals fall on: all callers alike, or some kinds and tenants only.

*Rule of this file*: calls sent and calls refused, by kind and tenant, in; whether
what is short is the upstream's own, out.

*Theory*: an upstream that is short of places or of tokens turns away whoever comes
when there are none: of calls that were sent at the same time, every kind's and
every tenant's share of refusals is the same but for chance. Where the back end of
one route is broken, or one key's quota spent, some are turned away and the others
are not. Then no ceiling and no pace may be taken from the refusals: either would
hold back those whom nothing refuses.

Calls are compared within windows of 0.1 s, by when they were sent: a crowd is
refused for coming at one instant, and who comes at others is not of another sort.
Of ``n`` calls of a class in a window in which a share ``r`` of all was refused,
``n r`` refusals are expected. Over all windows the class was refused ``o`` times,
expected were ``e``: by Chernoff's bound so few come by chance with a probability of
at most exp(-(e - o + o ln(o / e))).

*Regime*: two kinds or tenants at least; one of them, or all but one, are not refused while
about twelve refusals of theirs are due. A sort that is alone tells nothing.

*Cost*: nothing while nothing is refused; then two additions per call, and a pass over
the windows five times a second.

*Source*: ours; the bound e.g. in M. Mitzenmacher, E. Upfal, "Probability and
Computing", section 4.2 (Poisson tails, 5.4).
*Considered and rejected*: telling a broken back end by status (503 stands for a full
queue as well); shares over a whole episode (a crowd beside steady callers then looks
like another sort of call).
"""

from __future__ import annotations

from collections import deque
from math import log
from typing import Final

WINDOW_NS: Final = 100_000_000
N_WINDOWS: Final = 32
"""Three seconds: calls whose refusals come only after a back end's time-out are still known."""

JUDGE_NS: Final = 200_000_000

N_CLASSES: Final = 64
"""Tenants that fall on one class are taken together: less is seen, nothing that is not there."""

CHANCE: Final = 12.0
"""Exponent of the chance: six in a million, for some hundred classes a second are looked at."""

SPARED_SHARE: Final = 0.25
"""Of the expected refusals at most: a class that is merely luckier is the upstream's affair."""

LULL_NS: Final = 3_000_000_000
"""Without a refusal for so long nothing is counted any more."""


MEMORY_NS: Final = 10_000_000_000
"""How long a finding holds: a back end that is back has worked off what waited by then."""


class Window:
    """Calls sent within one window: all, and by class ``[sent, refused]``."""

    __slots__ = ("by_class", "n_refused", "n_sent", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.n_sent = 0
        self.n_refused = 0
        self.by_class: dict[int, list[int]] = {}


class RefusalScope:
    """Whether the refusals of one upstream spare some callers.

    Attributes
    ----------
    is_watching : bool
        Whether calls sent are to be told: something was refused lately.
    partial_until_ns : int
        How long refusals are known to spare some; in the past where they do not.

    Examples
    --------
    >>> scope = RefusalScope()
    >>> scope.on_refused(0, 0, 7, 0)
    >>> for ms in range(0, 100, 2):
    ...     scope.on_sent(ms * 1_000_000, kind=7, tenant=0)
    ...     scope.on_refused(ms * 1_000_000, ms * 1_000_000, kind=7, tenant=0)
    ...     scope.on_sent(ms * 1_000_000, kind=8, tenant=0)
    >>> scope.tick(200_000_000)
    True
    """

    __slots__ = ("_judged_ns", "_refused_ns", "_windows", "is_watching", "partial_until_ns")

    def __init__(self) -> None:
        self.is_watching = False
        self.partial_until_ns = -1
        self._windows: deque[Window] = deque(maxlen=N_WINDOWS)
        self._refused_ns = -1
        self._judged_ns = 0

    def on_sent(self, now_ns: int, kind: int, tenant: int) -> None:
        """Note a call that is sent while this watches."""
        number = now_ns // WINDOW_NS
        windows = self._windows
        if not windows or windows[-1].number != number:
            windows.append(Window(number))
        window = windows[-1]
        window.n_sent += 1
        for name in _classes(kind, tenant):
            window.by_class.setdefault(name, [0, 0])[0] += 1

    def on_refused(self, now_ns: int, sent_at_ns: int, kind: int, tenant: int) -> None:
        """Note a refusal, and from now on what is sent; earlier calls were not counted."""
        self.is_watching = True
        self._refused_ns = now_ns
        number = sent_at_ns // WINDOW_NS
        for window in reversed(self._windows):
            if window.number > number:
                continue
            names = _classes(kind, tenant)
            if window.number == number and all(name in window.by_class for name in names):
                window.n_refused += 1
                for name in names:
                    window.by_class[name][1] += 1
            return

    def tick(self, now_ns: int) -> bool:
        """Return whether refusals were found to spare some (about every 50 ms)."""
        if not self.is_watching:
            return False
        if now_ns - self._refused_ns > LULL_NS:
            self.is_watching = False
            self._windows.clear()
            return False
        if now_ns - self._judged_ns < JUDGE_NS:
            return False
        self._judged_ns = now_ns
        if not self._spares_some():
            return False
        self.partial_until_ns = now_ns + MEMORY_NS
        return True

    def _spares_some(self) -> bool:
        n_all = 0
        tally: dict[int, list[float]] = {}
        for window in self._windows:
            if not window.n_refused:
                continue
            n_all += window.n_refused
            share = window.n_refused / window.n_sent
            for name, (n_sent, n_refused) in window.by_class.items():
                expected = tally.setdefault(name, [0.0, 0.0])
                expected[0] += n_sent * share
                expected[1] += n_refused
        return any(  # this class, or all but this
            _is_spared(expected, n) or _is_spared(n_all - expected, n_all - n)
            for expected, n in tally.values()
        )


def _is_spared(expected: float, n_refused: float) -> bool:
    """Whether so few refusals of so many that were due are no chance."""
    return n_refused < SPARED_SHARE * expected and _exponent(expected, n_refused) > CHANCE


def _classes(kind: int, tenant: int) -> tuple[int, int]:
    """Return the two classes of a call: tenants below zero, kinds from zero on."""
    return kind, -1 - tenant % N_CLASSES


def _exponent(expected: float, n: float) -> float:
    """Return e - n + n ln(n / e), by which ``n`` or fewer are a chance.

    Examples
    --------
    >>> round(_exponent(12.0, 0.0), 1), round(_exponent(12.0, 12.0), 1)
    (12.0, 0.0)
    """
    return expected - n + (n * log(n / expected) if n else 0.0)
