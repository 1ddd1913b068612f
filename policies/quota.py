"""A quota that is found from its refusals, and the pace at which calls are sent under it.

*Rule of this file*: refusals and counts of accepted calls in; a rate, and whether
one more call may be sent now, out.

*Theory*: an upstream that refuses for want of a token has an empty bucket. So
between two refusals it has accepted exactly what its bucket was filled with::

    rate = (accepted until the later - accepted until the earlier) / time between

whatever the bucket's depth and however the calls came; idling can only make the
quotient too low, and only if the bucket overflowed meanwhile. Hence a quotient
over close refusals is the rate; one over a long pause is a lower bound of it.

Calls are then sent at that rate, and who comes faster waits. As long as calls wait
and none is refused the pace creeps up: an idle quota costs goodput all the time,
one call too many costs one try. It stays near what was measured at first and
leaves it ever faster (as CUBIC does), so that a quota that was raised is found.
A refusal brings it back; one that confirms the rate lets it creep more slowly from then on.

What is short of *places*, or has a broken service behind it, refuses as many as
before when it is sent what it accepted. Then it is no quota, and nothing is paced.

There is a second rate of what is accepted, :class:`policies.limit.refusals.Refusals`', and it
answers another question. This one paces what is *sent*, so it must be a rate that the
upstream's tokens have, to a few per cent, of the whole upstream; and it is given up where pacing
does not help. That one only spaces *invitations*, after calls were sent away: it counts one
endpoint's answers while others are refused, is too low rather than too high, needs no belief
in tokens, and so stands where this one is given up (a service whose own back end is broken
answers some calls a second, however few it is sent). Where both are known the lower one bounds
what callers are invited for.

*Cost*: two comparisons per call while a quota is known; a mark per refusal.

*Source*: the estimate is ours; the creep after S. Ha, I. Rhee, L. Xu, "CUBIC", 2008.
*Considered and rejected*: accepted calls per fixed period (the first one holds
the bucket's depth, the last one ends anywhere); pacing from the first refusal on
(a few refusals within milliseconds are as often a bounded queue).
"""

from __future__ import annotations

from collections import deque
from typing import Final

MARK_NS: Final = 5_000_000
"""Refusals this close together are one mark: at 1,000/s five calls, an error of 5 in 100."""

SPAN_NS_MIN: Final = 100_000_000
N_ACCEPTED_MIN: Final = 8
"""Shortest measure, in time and in calls: an error of one call in eight. A bounded queue that
fills refuses for some milliseconds, and then a ceiling holds."""

WINDOW_NS: Final = 2_000_000_000
"""Longest measure: how fast a quota that was lowered is followed."""

MARGIN: Final = 0.5
"""Of a call: between two refusals the bucket was filled with up to one more than were accepted.
What is too high mends itself with the next refusal, what is too low leaves the quota idle."""

LULL_NS: Final = 1_000_000_000
"""After a pause this long the bucket may have overflowed."""

MEMORY_NS: Final = 60_000_000_000
"""How long a quota binds after its last refusal: most are told per minute."""

CREEP_HZ: Final = 0.02
"""Growth of the pace per second of waiting, at first: two calls in a hundred."""

BACK_S: Final = 2.5
"""A refusal takes the creep of so many seconds back, a twentieth of the rate. What is left unused
then fills the bucket, and is spent when the pace is above the rate: nothing is lost, and one call
in a hundred or less is refused."""

CREEP_KNOWN_HZ: Final = 0.005
BACK_KNOWN_S: Final = 5.0
"""The same once a refusal at our own pace has confirmed the rate to a few per cent: the dip gives
as many tokens back, and half as many calls are refused."""

CONFIRMED: Final = 0.05
"""Relative difference between two measures that confirm each other."""

BUSY_SHARE: Final = 0.8
"""Of a pause between refusals: if calls waited for so much of it, no bucket overflowed."""

PLATEAU_S: Final = 15.0
"""Seconds of waiting without a refusal after which the pace is doubled beside that."""

CREPT_S: Final = 8.0
"""Creep, seconds, that no error of the rate explains: the pace is a third above it."""

BURST_S: Final = 0.1
"""Of the rate that may be sent at once: two ticks, so that a tick's jitter leaves no token."""

WEIGH_NS: Final = 250_000_000
N_WEIGHED_MIN: Final = 8
REFUSED_SHARE: Final = 0.25
"""If a quarter is refused of eight paced calls or more, what is short is no rate: the pace is an
eighth above it at most, and what is paced for nothing waits for nothing."""

DOUBT_NS: Final = 60_000_000_000
"""How long no quota is suspected after one was not there."""


class Quota:
    """The quota of one upstream.

    Attributes
    ----------
    rate_hz : float
        What it accepts, calls per second; 0.0 while nothing is known to be short of rate.
    has_room : bool
        Whether a call may be sent now.
    """

    __slots__ = (
        "_busy_s",
        "_doubted_until_ns",
        "_filled_ns",
        "_is_confirmed",
        "_is_marked",
        "_is_short",
        "_marks",
        "_n_refused",
        "_n_taken",
        "_paced_ns",
        "_pressed_s",
        "_refused_ns",
        "_sent_ns",
        "_ticked_ns",
        "_tokens",
        "_weighed_ns",
        "has_room",
        "rate_hz",
    )

    def __init__(self) -> None:
        self.rate_hz = 0.0
        self.has_room = True
        self._marks: deque[list[int]] = deque()
        self._is_marked = False
        self._refused_ns = -1
        self._sent_ns = -1
        self._tokens = 0.0
        self._filled_ns = 0
        self._ticked_ns = 0
        self._is_short = False
        self._pressed_s = 0.0
        self._busy_s = 0.0
        self._is_confirmed = False
        self._paced_ns = 0
        self._weighed_ns = 0
        self._n_taken = 0
        self._n_refused = 0
        self._doubted_until_ns = -1

    # -- learning -------------------------------------------------------------------

    def on_refused(self, now_ns: int, dispatched_at_ns: int, n_accepted: int) -> None:
        """Note a refusal.

        Parameters
        ----------
        dispatched_at_ns : int
            When the refused call was sent.
        n_accepted : int
            Calls sent since the start less those that were refused, this one included.
        """
        marks = self._marks
        for mark in reversed(marks):  # they took it for accepted
            if mark[0] <= dispatched_at_ns:
                break
            mark[1] -= 1
        self._sent_ns = max(self._sent_ns, dispatched_at_ns)
        self._refused_ns = now_ns
        if marks and now_ns - marks[-1][0] > LULL_NS:
            self._correct(now_ns, n_accepted)
            marks.clear()
        if self.rate_hz and dispatched_at_ns >= self._paced_ns:
            self._n_refused += 1
            self._pressed_s = -(BACK_KNOWN_S if self._is_confirmed else BACK_S)
            self._busy_s = 0.0
        if marks and now_ns - marks[-1][0] < MARK_NS:
            return
        marks.append([now_ns, n_accepted])
        self._is_marked = True

    def _correct(self, now_ns: int, n_accepted: int) -> None:
        """Learn from a refusal long after the others.

        If calls waited since, it is the rate; if the pace has crept far meanwhile, the quota was
        raised and the pace is the better guess; otherwise it is a bound.
        """
        last_ns, n_last = self._marks[-1]
        if not self.rate_hz:
            return
        pause_ns = now_ns - last_ns
        accepted_hz = (n_accepted - n_last) * 1e9 / pause_ns
        was_busy = self._busy_s * 1e9 > BUSY_SHARE * pause_ns
        if self._pressed_s > CREPT_S:
            self.rate_hz = self.pace_hz
            self._is_confirmed = False
            return
        is_near = abs(accepted_hz - self.rate_hz) < CONFIRMED * self.rate_hz
        self._is_confirmed = was_busy and is_near
        self.rate_hz = accepted_hz if was_busy else max(self.rate_hz, accepted_hz)

    def _measure(self, now_ns: int) -> None:
        """Tell the rate from the accepted calls between the oldest and the newest mark."""
        marks = self._marks
        self._is_marked = False
        while marks[-1][0] - marks[0][0] > WINDOW_NS:
            marks.popleft()
        newest = marks[-1]
        for mark in reversed(marks):  # later ones may still count calls that will be refused
            newest = mark
            if mark[0] <= self._sent_ns:
                break
        span_ns = newest[0] - marks[0][0]
        n_accepted = newest[1] - marks[0][1]
        if span_ns < SPAN_NS_MIN or n_accepted < N_ACCEPTED_MIN or now_ns < self._doubted_until_ns:
            return
        if not self.rate_hz:
            self._paced_ns = self._weighed_ns = self._filled_ns = self._ticked_ns = now_ns
            self._n_taken = self._n_refused = 0
            self._tokens = 0.0
            self._pressed_s = 0.0
            self._is_confirmed = False
        self.rate_hz = (n_accepted + MARGIN) * 1e9 / span_ns

    def tick(self, now_ns: int, is_waiting: bool) -> bool:
        """Weigh the last refusals (about every 50 ms); return whether a rate is what is short.

        Parameters
        ----------
        is_waiting : bool
            Whether calls wait now.
        """
        if self._is_marked:
            self._measure(now_ns)
        if not self.rate_hz:
            return False
        if is_waiting and self._is_short:
            elapsed_s = (now_ns - self._ticked_ns) * 1e-9
            self._pressed_s += elapsed_s
            self._busy_s += elapsed_s
        self._ticked_ns = now_ns
        self._is_short = False
        self.fill(now_ns)
        if now_ns - self._weighed_ns >= WEIGH_NS and self._n_taken >= N_WEIGHED_MIN:
            if self._n_refused > REFUSED_SHARE * self._n_taken:
                self.doubt(now_ns)
            self._weighed_ns = now_ns
            self._n_taken = self._n_refused = 0
        if now_ns - self._refused_ns > MEMORY_NS:
            self._forget()
        return self.is_known

    def doubt(self, now_ns: int) -> None:
        """Forget the quota, and suspect none for a while: what is short was found to be no rate."""
        self._doubted_until_ns = now_ns + DOUBT_NS
        self._forget()

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to weigh, and nothing that binds until it is forgotten."""
        return not (self.rate_hz or self._is_marked)

    def _forget(self) -> None:
        self.rate_hz = 0.0
        self.has_room = True
        self._marks.clear()
        self._is_marked = False

    # -- pacing -----------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """Whether calls are paced."""
        return self.rate_hz > 0.0

    @property
    def pace_hz(self) -> float:
        """What is sent: the rate, and the more above it the longer calls wait unrefused."""
        pressed_s = self._pressed_s
        creep_hz = CREEP_KNOWN_HZ if self._is_confirmed else CREEP_HZ
        crept = creep_hz * pressed_s + max(0.0, pressed_s / PLATEAU_S) ** 3
        return self.rate_hz * (1.0 + crept)

    def bound_hz(self, capacity_hz: float) -> float:
        """Return ``capacity_hz`` (0: unknown), but no more than the quota."""
        if not self.rate_hz:
            return capacity_hz
        return min(capacity_hz, self.rate_hz) if capacity_hz else self.rate_hz

    def fill(self, now_ns: int) -> None:
        """Let time fill the bucket."""
        elapsed_s = (now_ns - self._filled_ns) * 1e-9
        if not self.rate_hz or elapsed_s <= 0.0:
            return
        self._filled_ns = now_ns
        pace_hz = self.pace_hz
        self._tokens = min(1.0 + BURST_S * pace_hz, self._tokens + pace_hz * elapsed_s)
        self.has_room = self._tokens >= 1.0

    def take(self) -> None:
        """Note a call sent; the bucket may be overdrawn by calls that are never held."""
        if self.rate_hz:
            self._n_taken += 1
            self._tokens -= 1.0
            if self._tokens < 1.0:
                self.has_room = False
                self._is_short = True
