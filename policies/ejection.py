"""When an endpoint is out of use, for how long, and how it comes back.

*Rule of this file*: one endpoint's failures on a time axis; who else is out is
:mod:`policies.reroute`'s matter.

*Theory*: failures in a row, for one answer in between shows that it can. A
connection that cannot be opened weighs more than a call that failed: nothing
of the call's own can be the cause. Out, an endpoint rests 1 s, then 2, 4, … 60 s.
When a rest is over a single call finds out; if it fails the next rest begins, if
it is answered the endpoint returns by a ramp of 10 s, because a service that
has just started is slow (cold caches, empty pools) and would fall again under
its full share. Rests grow until a ramp has been gone through.

*Source*: Envoy, outlier detection (five failures in a row; time grows with every
ejection) and slow start (from a tenth of the share). Its times (30 s, 300 s, a
sweep every 10 s) are longer than a caller's patience; ours are HAProxy's order.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from policies.decision import Outcome

REST_NS: Final = 1_000_000_000
"""The first rest: restarts of a process take about that long."""

MAX_REST_NS: Final = 60_000_000_000
"""The longest: an endpoint that is back is found within a minute."""

RAMP_NS: Final = 10_000_000_000
"""From the first share to the whole."""

FIRST_SHARE: Final = 0.1
"""Of an endpoint's share, at the beginning of its ramp (Envoy: min_weight_percent 10)."""

PROBE_TIMEOUT_NS: Final = 10_000_000_000
"""A probe without an answer for so long has failed; if its answer comes later, it counts."""

_SICK_AT: Final = 10
_FAILED: Final = 2
"""Five in a row."""
_UNREACHED: Final = 5
"""Two in a row."""


class Verdict(IntEnum):
    """What the end of a call says of its endpoint."""

    ANSWERED = 0
    """It works, even if it is full."""
    FAILED = 1
    """It broke off, or answered 5xx."""
    UNREACHED = 2
    """No connection could be opened."""
    UNTOLD = 3
    """Nothing: the caller left, or nothing was sent."""


def judge(outcome: Outcome, status: int, retry_after_ns: int) -> Verdict:
    """Return what the end of a call says of its endpoint.

    A 503 that names a time to come back says *full*, which is the limit's matter; one that
    does not says *broken*. 501 is about the request.

    Examples
    --------
    >>> judge(Outcome.FAILED, 500, 0).name, judge(Outcome.REFUSED, 503, 10**9).name
    ('FAILED', 'ANSWERED')
    """
    if outcome is Outcome.UNSENT:
        return Verdict.UNTOLD
    if outcome is Outcome.CANCELLED and not status:
        return Verdict.UNTOLD
    if not status:
        return Verdict.FAILED
    if status < 500 or status == 501:
        broke = outcome is Outcome.FAILED and status not in (408, 501)
        return Verdict.FAILED if broke else Verdict.ANSWERED
    return Verdict.ANSWERED if status == 503 and retry_after_ns else Verdict.FAILED


class Health:
    """Whether one endpoint is fit for use.

    Attributes
    ----------
    is_sick : bool
        Out of use, or tried by a single call.
    is_unreached : bool
        It was a connection that could not be opened that made it sick.
    is_ramping : bool
        Back, with less than its share.
    rests_until_ns : int
        While sick: when a call may try it.
    probe : object or None
        The lease of the call that tries it.
    n_failures, n_ejections : int
        Since the start.
    """

    __slots__ = (
        "_n_rests",
        "_probed_ns",
        "_ramp_from_ns",
        "_score",
        "_sick_from_ns",
        "is_ramping",
        "is_sick",
        "is_unreached",
        "n_ejections",
        "n_failures",
        "probe",
        "rests_until_ns",
    )

    def __init__(self) -> None:
        self.is_sick = False
        self.is_unreached = False
        self.is_ramping = False
        self.rests_until_ns = 0
        self.probe: object | None = None
        self.n_failures = 0
        self.n_ejections = 0
        self._score = 0
        self._n_rests = 0
        self._ramp_from_ns = 0
        self._sick_from_ns = 0
        self._probed_ns = 0

    def sent(self, now_ns: int, call: object) -> None:
        """Note a call sent to it; while it is sick and due, that call is its probe."""
        if self.is_due(now_ns):
            self.probe = call
            self._probed_ns = now_ns

    def failed(self, now_ns: int, call: object, is_unreached: bool) -> None:
        """Note a call that failed for the endpoint's sake."""
        self.n_failures += 1
        if self.is_sick:
            if self.probe is not None and call is self.probe:
                self._rest(now_ns, is_unreached)
            return  # one of many that were under way: nothing new
        self._score += _UNREACHED if is_unreached else _FAILED
        if self._score >= _SICK_AT:
            if self.share(now_ns) >= 1.0:
                self._n_rests = 0
            self._sick_from_ns = now_ns
            self._rest(now_ns, is_unreached)

    def succeeded(self, now_ns: int, sent_at_ns: int) -> None:
        """Note a call that the endpoint answered."""
        self._score = 0
        if self.is_sick and sent_at_ns >= self._sick_from_ns:
            self.is_sick = self.is_unreached = False
            self.is_ramping = True
            self.probe = None
            self._ramp_from_ns = now_ns

    def told_nothing(self, now_ns: int, call: object) -> None:
        """Note a call that ended without showing anything; if it was the probe, another follows."""
        if self.probe is not None and call is self.probe:
            self.probe = None
            self.rests_until_ns = now_ns + REST_NS

    def tick(self, now_ns: int) -> None:
        """Give a probe up that takes too long, and end a ramp that is through."""
        if self.probe is not None and now_ns - self._probed_ns >= PROBE_TIMEOUT_NS:
            self._rest(now_ns, self.is_unreached)
        self.share(now_ns)

    def is_due(self, now_ns: int) -> bool:
        """Whether a call may try it now."""
        return self.is_sick and self.probe is None and now_ns >= self.rests_until_ns

    def share(self, now_ns: int) -> float:
        """Return the part of its usual share that it may take, 0 while sick; never falls by time.

        Examples
        --------
        >>> Health().share(0)
        1.0
        """
        if self.is_sick:
            return 0.0
        if not self.is_ramping:
            return 1.0
        share = (now_ns - self._ramp_from_ns) / RAMP_NS
        if share >= 1.0:
            self.is_ramping = False
            return 1.0
        return max(FIRST_SHARE, share)

    @property
    def state(self) -> str:
        """In a word."""
        if self.is_sick:
            return "probing" if self.probe is not None else "ejected"
        return "ramping" if self.is_ramping else "healthy"

    def _rest(self, now_ns: int, is_unreached: bool) -> None:
        self.is_sick = True
        self.is_ramping = False
        self.is_unreached = is_unreached
        self.probe = None
        self.n_ejections += 1
        self.rests_until_ns = now_ns + min(MAX_REST_NS, REST_NS << min(self._n_rests, 16))
        self._n_rests += 1
