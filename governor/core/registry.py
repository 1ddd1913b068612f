"""Who may do what: each flow against its envelope, and who is held or quarantined.

*Rule of this file*: no I/O, no clock, no log, no names but those that the configuration
gives and salted labels. Fed by the tick; :mod:`governor.core.restraint` acts on it.

A flow has the envelope of the first rule that names it, else the default, else,
where learning is on and its past is long enough, the one that it has taught
(:mod:`policies.envelope`). Where a deviation begins, an event says so; the rule may
also have the flow held or quarantined, which lasts until a person releases it.
Released, it is given ``GRACE_S`` before the same deviation counts again.

A restrained flow keeps its place in the identity table (it is pinned as if a call were
open), so nobody can push it out by inventing names. At most ``N_RESTRAINED_MAX`` are.

In ``observe`` mode the same is decided, and the gates do nothing of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from governor.core.identity import OVERFLOW, Identities
from governor.core.profiles import READ_NS, Profiles
from governor.core.restraint import impose, lift
from policies.envelope import (
    LEARNED,
    MEASURES,
    N_LEARN_BLOCKS,
    N_LEARN_CALLS,
    N_MEASURES,
    UNLIMITED,
    Envelope,
    Flags,
    Measure,
    Numbers,
    advance,
    begins_above,
    learn,
    learned_limits,
)
from signals import Shared

N_EVENTS: Final = 1_000
"""Events kept; the audit file keeps all acts."""
N_FLIPS_MAX: Final = 1_000
"""Deviations told of in one second; more are counted."""
N_RESTRAINED_MAX: Final = 1_024
"""A person is to release each."""
GRACE_S: Final = 30
"""After a release, before the deviation that led to it counts again."""
CAP_DEFAULT: Final = 1
"""Calls in flight of a held flow whose envelope says nothing of them."""

UNMET: Final = -1
"""Rule of a flow that has not been compared with the rules."""
NO_RULE: Final = 0
"""Rule of a flow that none names: the default's place."""


class Rule(NamedTuple):
    """One configured agent, or the default."""

    name: str
    envelope: Envelope = Envelope()
    on_deviation: str = "event"
    """``event``, ``hold`` or ``quarantine``."""


class Learning(NamedTuple):
    """Envelopes from flows' own past."""

    after_ns: int
    margin: float
    on_deviation: str = "event"


class Event(NamedTuple):
    """Something that a person may want to know, or did."""

    sequence: int
    at_ns: int
    kind: str
    """``deviation_began``, ``deviation_ended``, ``held``, ``quarantined`` or ``released``."""
    flow: str
    """Its long label: its number may stand for another by the time that this is read."""
    agent: str
    measure: str
    value: float
    limit: float
    by: str
    """``envelope``, or the salted id of a person's token."""
    why: str


class Registry:
    """Profiles, envelopes, deviations and restraints of one process.

    Parameters
    ----------
    identities : Identities
    shared : Shared
    rules : sequence of Rule, optional
        Numbered from 1 in :attr:`rule_of`.
    default : Rule, optional
        Of every flow that no rule names.
    learning : Learning, optional
        For flows that neither a rule nor the default limits.

    Attributes
    ----------
    rule_of : int16 array
        Per flow; ``UNMET`` until the rim has compared it with the rules.
    events : deque of Event
        The latest, oldest first.
    n_events : int
        Since the start.
    n_faults : int
        Ticks that raised; no request is touched by one.
    on_restrained, on_released : Callable, optional
        Told (now_ns, flow, cap) and (now_ns, flow) after each such act.
    """

    def __init__(
        self,
        identities: Identities,
        shared: Shared,
        rules: Sequence[Rule] = (),
        default: Rule | None = None,
        learning: Learning | None = None,
    ) -> None:
        n = identities.flows.capacity
        self._identities = identities
        self.profiles = Profiles(identities, shared)
        self.rules = (default or Rule(""), *rules)
        self._limits = np.array([rule.envelope.limits for rule in self.rules])
        self._allowed = np.array([rule.envelope.upstreams for rule in self.rules], np.int64)
        self._has_default = default is not None
        self._learning = learning
        self.is_limiting = bool(np.isfinite(self._limits).any()) or learning is not None
        self.rule_of = np.full(n, UNMET, np.int16)
        self.rule_of[OVERFLOW] = NO_RULE
        self.deviates = np.zeros((n, N_MEASURES), np.bool_)
        self._streak = np.zeros((n, N_MEASURES), np.int16)
        n_learned = n if learning else 1
        self._largest = np.zeros((n_learned, len(LEARNED)))
        self._largest_now = np.zeros((n_learned, len(LEARNED)))
        self._block_ns = learning.after_ns // N_LEARN_BLOCKS if learning else 0
        self._block_until_ns = 0
        self.restraints = identities.restraints
        self.events: deque[Event] = deque(maxlen=N_EVENTS)
        self.n_events = 0
        self.n_faults = 0
        self.on_restrained: Callable[[int, int, int], None] | None = None
        self.on_released: Callable[[int, int], None] | None = None

    def forget(self, flow: int) -> None:
        """Begin anew with a number that stands for another caller from now on."""
        self.profiles.forget(flow)
        self.rule_of[flow] = UNMET
        self.deviates[flow] = False
        self._streak[flow] = 0
        if self._learning is not None:
            self._largest[flow] = self._largest_now[flow] = 0.0

    def tick(self, now_ns: int) -> None:
        """Read the profiles, once a second, and compare them with what may be."""
        if self._learning is not None and now_ns >= self._block_until_ns:
            self._block_until_ns = now_ns + self._block_ns
            n = self.profiles.n_used
            np.maximum(self._largest[:n], self._largest_now[:n], out=self._largest[:n])
            self._largest_now[:n] = 0.0
        part = self.profiles.tick(now_ns)
        if part is not None and self.is_limiting:
            self._compare(now_ns, part)

    def limits(self, part: slice) -> tuple[Numbers, Flags]:
        """Return the limits of some flows, and which of them are learned."""
        rule = np.maximum(self.rule_of[part], NO_RULE)
        limits = self._limits[rule]
        is_learned = np.zeros(len(rule), np.bool_)
        if self._learning is not None:
            is_learned = ~np.isfinite(limits).any(axis=1)
            seen_ns = self.profiles.first_seen_ns[part]
            age_ns = self.profiles.now_ns - seen_ns
            has_past = is_learned & (seen_ns > 0) & (age_ns >= self._learning.after_ns)
            has_past &= self.profiles.calls[part] >= N_LEARN_CALLS
            learned = learned_limits(self._largest[part], has_past, self._learning.margin)
            limits[:, LEARNED] = np.where(is_learned[:, None], learned, limits[:, LEARNED])
            is_learned = has_past
        if part.start == OVERFLOW:
            limits[0] = UNLIMITED
        return limits, is_learned

    def limits_of(self, flow: int) -> tuple[list[float], bool]:
        """Return one flow's limits, and whether they are learned; for people."""
        limits, is_learned = self.limits(slice(flow, flow + 1))
        return limits[0].tolist(), bool(is_learned[0])

    def _compare(self, now_ns: int, part: slice) -> None:
        profiles = self.profiles
        measures = profiles.measures[part]
        rule = np.maximum(self.rule_of[part], NO_RULE)
        others = profiles.upstreams[part] & ~self._allowed[rule]
        measures[:, Measure.UPSTREAMS] = others != 0
        limits, _ = self.limits(part)
        is_over = measures > begins_above(limits, profiles.calls_hz[part])
        is_within = ~(measures > limits)
        deviates = self.deviates[part]
        if self._learning is not None:
            columns = list(LEARNED)
            learn(self._largest_now[part], measures[:, columns], limits[:, columns])
        flips = advance(is_over, is_within, self._streak[part], deviates)
        if not flips.any():
            return
        found = np.argwhere(flips)
        for place, column in found[:N_FLIPS_MAX].tolist():
            flow = part.start + place
            began = bool(deviates[place, column])
            kind = "deviation_began" if began else "deviation_ended"
            value, limit = float(measures[place, column]), float(limits[place, column])
            self._tell(now_ns, kind, flow, MEASURES[column], value, limit)
            act = self._act_of(flow)
            if began and act != "event" and flow not in self.restraints:
                cap = 0 if act == "quarantine" else self.cap_of(limits[place].tolist())
                self.restrain(now_ns, flow, cap, "envelope", MEASURES[column])

    def _act_of(self, flow: int) -> str:
        rule = int(self.rule_of[flow])
        if rule > NO_RULE or self._has_default or self._learning is None:
            return self.rules[max(rule, NO_RULE)].on_deviation
        return self._learning.on_deviation

    def cap_of(self, limits: Sequence[float]) -> int:
        """Return how many calls a held flow may have in flight."""
        in_flight = limits[Measure.IN_FLIGHT]
        return max(CAP_DEFAULT, int(in_flight)) if in_flight < UNLIMITED else CAP_DEFAULT

    # -- acts, of envelopes and of people -----------------------------------------

    def restrain(self, now_ns: int, flow: int, cap: int, by: str, why: str) -> bool:
        """Hold a flow to ``cap`` calls in flight, or quarantine it (0); return whether it is so."""
        is_new = flow not in self.restraints
        if is_new and (flow == OVERFLOW or len(self.restraints) >= N_RESTRAINED_MAX):
            return False
        impose(self._identities, flow, cap)
        self._tell(now_ns, "held" if cap else "quarantined", flow, by=by, why=why)
        if self.on_restrained is not None:
            self.on_restrained(now_ns, flow, cap)
        return True

    def release(self, now_ns: int, flow: int, by: str, why: str) -> bool:
        """Let a flow go on; return whether it was restrained."""
        if not lift(self._identities, flow):
            return False
        self.deviates[flow] = False
        self._streak[flow] = -(GRACE_S * READ_NS // 1_000_000_000)
        self._tell(now_ns, "released", flow, by=by, why=why)
        if self.on_released is not None:
            self.on_released(now_ns, flow)
        return True

    def agent_of(self, flow: int) -> str:
        """Return the name that the configuration gives a flow's agent; empty if none."""
        return self.rules[max(int(self.rule_of[flow]), NO_RULE)].name

    def _tell(
        self,
        now_ns: int,
        kind: str,
        flow: int,
        measure: str = "",
        value: float = 0.0,
        limit: float = 0.0,
        by: str = "envelope",
        why: str = "",
    ) -> None:
        label = self._identities.flows.long_label(flow)
        agent = self.agent_of(flow)
        self.events.append(
            Event(self.n_events, now_ns, kind, label, agent, measure, value, limit, by, why)
        )
        self.n_events += 1
