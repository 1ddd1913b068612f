"""What stands between simulated callers and their service: nothing, or the real gate.

*Rule of this file*: the rim's part, no more: who is told what in which order, as
:mod:`governor.proxy.exchange` and :mod:`governor.proxy.endings` do it. All that is decided
is decided by the :class:`~governor.core.gate.Gate` that a running Governor would have made
of the same configuration.

*Regime*: one upstream with one endpoint. Bytes take no time; a running rim adds fractions of a
millisecond, and more when its core is full, which is what the deviation from the sockets shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from bench.simulate.clock import Agenda
from bench.simulate.rim import Templates
from bench.simulate.service import Headers, OnReply, SimulatedService
from governor.cli.replay_command import make_gates
from governor.config.model import Config
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.lease import Decision, Lease, LeaseState
from governor.load.laws import number as parse_number
from governor.load.plan import Group
from governor.proxy.endings import outcome_of
from policies.decision import Action, Outcome

TICK_S = 0.05
"""As the running Governor's (:data:`governor.runtime.TICK_S`)."""

REFUSALS = (429, 503)
_NS = 1_000_000_000


class Attempt(Protocol):
    """One call under way, as a front sees it."""

    number: int
    """In the record, and of the service's log."""
    retries: int
    demand_s: float
    connection: int
    """Number of its connection in the whole run."""
    agent: int
    """Number of its agent in the whole run."""
    group_idx: int
    key: str
    lease: Lease | None

    def replied(self, now_s: float, status: int, headers: Headers) -> None:
        """Take the reply; nobody may be there any more."""


class Front(Protocol):
    """What stands in front."""

    def send(self, now_s: float, attempt: Attempt) -> None:
        """Take a call."""

    def leave(self, now_s: float, attempt: Attempt) -> None:
        """Take note that its caller has closed its connection."""


class Direct:
    """Nothing in front."""

    def __init__(self, service: SimulatedService) -> None:
        self._service = service

    def send(self, now_s: float, attempt: Attempt) -> None:
        """Hand it on."""
        self._service.accept(now_s, attempt.number, attempt.demand_s, attempt.replied)

    def leave(self, now_s: float, attempt: Attempt) -> None:
        """Nothing: its work goes on."""


class Governed:
    """The real gate, as it comes.

    Parameters
    ----------
    agenda : Agenda
    service : SimulatedService
    groups : tuple of Group

    Attributes
    ----------
    gate : Gate
    n_calls : int
        Of the gate's methods.
    """

    def __init__(
        self, agenda: Agenda, service: SimulatedService, groups: tuple[Group, ...]
    ) -> None:
        gates, self._identities = make_gates(default_config())
        self.gate: Gate = gates[0]
        self._agenda = agenda
        self._service = service
        self._templates = [Templates(group) for group in groups]
        self._tenants: dict[str, int] = {}
        self.n_calls = 0
        agenda.at(agenda.now_s + TICK_S, self._tick)

    def send(self, now_s: float, attempt: Attempt) -> None:
        """Ask the gate, and do what it says."""
        now_ns = int(now_s * _NS)
        arrival = self._templates[attempt.group_idx].arrival(attempt.retries)
        identities: Identities = self._identities
        key = -attempt.agent - 1 if arrival.is_identified else attempt.connection + 1
        tenant = self._tenants.setdefault(attempt.key, len(self._tenants) + 1)
        arrival.tenant = identities.tenants.index(tenant, now_ns)
        arrival.flow = identities.flows.index(key, now_ns)
        arrival.tree = identities.trees.index(key, now_ns)
        self.n_calls += 1
        decision = self.gate.arrive(now_ns, arrival, attempt)
        attempt.lease = lease = decision.lease
        lease.owner = attempt
        if decision.action is not Action.WAIT:
            self._apply(now_s, decision)

    def leave(self, now_s: float, attempt: Attempt) -> None:
        """Tell the gate: one that waits is out of the line, one that was sent keeps its place."""
        lease = attempt.lease
        if lease is not None and lease.state is not LeaseState.CLOSED:
            self.n_calls += 1
            self._apply_all(now_s, self.gate.leave(int(now_s * _NS), lease))

    def _tick(self, now_s: float, _: object) -> None:
        self._agenda.at(now_s + TICK_S, self._tick)
        self.n_calls += 1
        self._apply_all(now_s, self.gate.tick(int(now_s * _NS)))

    def _apply_all(self, now_s: float, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            self._apply(now_s, decision)

    def _apply(self, now_s: float, decision: Decision) -> None:
        attempt: Attempt = decision.lease.owner
        if decision.action is Action.ADMIT:
            on_reply = self._replied_to(attempt, decision.lease)
            self._service.accept(now_s, attempt.number, attempt.demand_s, on_reply)
            return
        attempt.lease = None
        attempt.replied(now_s, decision.status or 503, told(decision.retry_after_ns))

    def _replied_to(self, attempt: Attempt, lease: Lease) -> OnReply:
        def on_reply(now_s: float, status: int, headers: Headers) -> None:
            now_ns = int(now_s * _NS)
            gate = self.gate
            asked_ns = int((parse_number(headers.get("retry-after")) or 0.0) * _NS)
            if status in REFUSALS:
                gate.refused.note(now_ns)
                slot = (
                    None if lease.has_left else gate.refused.answer(now_ns, lease, status, asked_ns)
                )
                if slot is not None and slot.retry_after_ns:
                    asked_ns = slot.retry_after_ns
                    headers = told_instead(asked_ns)
                elif slot is not None:
                    headers = {**headers, "x-should-retry": "false"}
            outcome = Outcome.ORPHANED if lease.has_left else outcome_of(status)
            self.n_calls += 1
            decisions = gate.depart(now_ns, lease, outcome, status, asked_ns)
            self._apply_all(now_s, decisions)
            attempt.replied(now_s, status, headers)

        return on_reply


def told(retry_after_ns: int) -> Headers:
    """Return what Governor's own refusal says (:func:`governor.proxy.replies.build`).

    >>> told(1_500_000_000)["retry-after-ms"], told(0)
    ('1500', {'x-should-retry': 'false'})
    """
    if not retry_after_ns:
        return {"x-should-retry": "false"}
    return {**told_instead(retry_after_ns), "x-should-retry": "true"}


def told_instead(wait_ns: int) -> Headers:
    """Return what an upstream's refusal says in place of its own time."""
    return {
        "retry-after": str(-(-wait_ns // _NS)),
        "retry-after-ms": str(-(-wait_ns // 1_000_000)),
    }


def default_config() -> Config:
    """Return Governor as it comes, before one service."""
    return Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "off"},
            "access_log": {"mode": "off"},
            "upstreams": {"tool": {"endpoints": ["http://127.0.0.1:1"]}},
            "routes": [{"match": {"path_prefix": "/"}, "upstream": "tool"}],
        }
    )
