"""A bank told of calls by flow and shape: short to write, where handles are beside the point.

*Rule of this file*: every arrival is over at once without a trace; a failure is
the end of a call that began before anybody looked.
"""

from __future__ import annotations

from signals import ATTEMPT_MASK, FAILED, GONE, UNMARKED, SignalBank
from signals.calls import ATTEMPT_BITS, open_call
from signals.rows import NO_ROW, take_row


class ShortBank(SignalBank):
    """Has the calls of :class:`tests.naive.NaiveBank`, its slow twin."""

    __slots__ = ()

    def observe_arrival(  # type: ignore[override]
        self,
        now_ns: int,
        flow: int,
        fingerprint: int,
        marked_attempt: int = UNMARKED,
        is_identified: bool = True,
    ) -> int:
        """Count an arrival; return its attempt."""
        call = super().observe_arrival(
            now_ns, 0, flow, 0, fingerprint, marked_attempt, 0, is_identified
        )
        self.note(self.root, GONE, now_ns, call, 0)
        return call & ATTEMPT_MASK

    def observe_departure(
        self, now_ns: int, flow: int, fingerprint: int, attempt: int, is_failure: bool
    ) -> None:
        """Count one call's failure; a good end leaves nothing to recognise."""
        if not is_failure:
            return
        if now_ns >= self.boundary_ns:
            self.advance(now_ns)
        idx = open_call(self.state.process, self.state.calls)
        call = self.state.calls[idx]
        call["flow"] = flow if 0 < flow < self.state.bank[0]["n_flows"] else 0
        call["row"] = self._take_row(int(call["flow"]))
        call["fingerprint"] = fingerprint
        call["attempt"] = min(max(attempt, 0), ATTEMPT_MASK)
        call["answered_ns"] = call["has_left"] = call["family"] = 0
        self.note(self.root, FAILED, now_ns, idx << ATTEMPT_BITS, 0)

    def _take_row(self, flow: int) -> int:
        s = self.state
        now_ns = int(s.process[0]["now_ns"])
        upstream = int(s.bank[0]["upstream"])
        row = take_row(s.process, s.row_heads, s.flows, s.agents, upstream, flow, now_ns)
        if row != NO_ROW:
            s.flows[row]["n_open"] += 1
        return row
