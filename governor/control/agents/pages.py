"""The agents' pages as plain values: who calls, how, what each may do, what deviates.

*Rule of this file*: from the registry to plain values and sentences; salted ids only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from governor.control.decisions import BadParameter
from governor.core.identity import HALF_LIFE_NS
from governor.core.registry import NO_RULE, Event, Registry
from policies.envelope import MEASURES, UNLIMITED, Measure
from signals.families import FAMILIES

if TYPE_CHECKING:
    from governor.core.identity import Identities

Json = dict[str, Any]

LIMIT_DEFAULT, LIMIT_MAX = 50, 200
EVENTS_SHOWN = 50
FIND_MAX = 64
"""Characters to look for: a label has 21, a configured name at most these."""
_LOAD_PER_S = float(np.log(2.0)) / (HALF_LIFE_NS / 1e9)
"""Decayed upstream seconds to upstream seconds per second."""

SORTS = ("cost", "rate", "in_flight", "fan_out", "retries", "calls")
STATES = ("any", "deviating", "restrained")
STEADY, BURSTY = 0.5, 2.0
"""Dispersion of a clock's counts is near 0, of independent calls 1, of bursts above."""


class Query(NamedTuple):
    """What part of the list is asked for."""

    sort: str = "cost"
    state: str = "any"
    limit: int = LIMIT_DEFAULT
    offset: int = 0
    find: str = ""
    """A label, or part of a configured name."""


def parse_query(query: Mapping[str, str]) -> Query:
    """Return what part of the list is asked for.

    Raises
    ------
    BadParameter
        If a parameter is outside what is allowed.
    """
    sort, state = query.get("sort", "cost"), query.get("state", "any")
    if sort not in SORTS:
        raise BadParameter("sort", f"one of {', '.join(SORTS)}")
    if state not in STATES:
        raise BadParameter("state", f"one of {', '.join(STATES)}")
    find = query.get("find", "").strip()
    if len(find) > FIND_MAX:
        raise BadParameter("find", f"a label or part of a name, {FIND_MAX} characters at most")
    limit = parse_whole("limit", query.get("limit"), LIMIT_DEFAULT, 1, LIMIT_MAX)
    offset = parse_whole("offset", query.get("offset"), 0, 0, 65_535)
    return Query(sort, state, limit, offset, find)


def parse_whole(field: str, text: str | None, otherwise: int, low: int, high: int) -> int:
    """Return a whole number within bounds; BadParameter if it is none."""
    if text is None:
        return otherwise
    is_number = text.isascii() and text.isdigit() and len(text) <= 6
    if not is_number or not low <= int(text) <= high:
        raise BadParameter(field, f"a whole number from {low} to {high}")
    return int(text)


class Now(NamedTuple):
    """The same instant on both clocks."""

    monotonic_ns: int
    unix_ns: int


class AgentPages:
    """What the registry knows, for people.

    Parameters
    ----------
    registry : Registry
    identities : Identities
    upstreams : sequence of str
        By number.
    is_observing : callable
        Whether restraints are decided and not acted on now.
    """

    def __init__(
        self,
        registry: Registry,
        identities: Identities,
        upstreams: Sequence[str],
        is_observing: Callable[[], bool],
    ) -> None:
        self._registry = registry
        self._identities = identities
        self._upstreams = tuple(upstreams)
        self._is_observing = is_observing

    def describe_list(self, query: Query, now: Now) -> Json:
        """Return one part of the list of agents, and the latest events."""
        registry = self._registry
        n = registry.profiles.n_used
        flows = self._choose(query)
        page = flows[query.offset : query.offset + query.limit]
        return {
            "mode": "observe" if self._is_observing() else "govern",
            "known": int((registry.profiles.calls[:n] > 0).sum()),
            "restrained": len(registry.restraints),
            "deviating": int(registry.deviates[:n].any(axis=1).sum()),
            "sort": query.sort,
            "offset": query.offset,
            "agents": [self.describe(flow, now) for flow in page],
            "events": self.describe_events(now),
        }

    def describe(self, flow: int, now: Now) -> Json:
        """Return one agent: profile, envelope, state."""
        registry, flows = self._registry, self._identities.flows
        profiles = registry.profiles
        limits, is_learned = registry.limits_of(flow)
        measures = profiles.measures[flow].tolist()
        restraint = registry.restraints.get(flow)
        state = "free"
        if restraint is not None:
            state = "quarantined" if restraint.is_quarantine else "held"
        dispersion = profiles.dispersion(flow)
        patience_ns = int(profiles.patience_ns[flow])
        cost_s = self._identities.service_s(flows, flow)
        deviating = [MEASURES[x] for x in Measure if registry.deviates[flow, x]]
        called = [x for i, x in enumerate(self._upstreams) if profiles.upstreams[flow] >> i & 1]
        return {
            "id": flows.long_label(flow),
            "label": flows.label(flow),
            "agent": registry.agent_of(flow) or None,
            "tenant": self._identities.tenants.label(int(profiles.tenant[flow])),
            "state": state,
            "turned_away": restraint.n_turned_away if restraint else 0,
            "waiting_for_release": restraint.n_parked if restraint else 0,
            "calls": flows.n_calls[flow],
            "cost": round(cost_s * _LOAD_PER_S, 6),
            "first_seen": _instant_s(int(profiles.first_seen_ns[flow]), now),
            "last_seen": _instant_s(flows.seen_at_ns[flow], now),
            "profile": {
                "in_flight": int(measures[Measure.IN_FLIGHT]),
                "rate_hz": round(measures[Measure.RATE], 4),
                "peak_rate_hz": round(float(profiles.peak_hz[flow]), 4),
                "peak_in_flight": int(profiles.peak_in_flight[flow]),
                "fan_out": int(measures[Measure.FAN_OUT]),
                "retry_share": round(measures[Measure.RETRIES], 4),
                "rhythm": _rhythm(dispersion),
                "dispersion": None if dispersion is None else round(dispersion, 3),
                "patience_s": patience_ns / 1e9 if patience_ns else None,
                "client": FAMILIES[int(profiles.family[flow])],
                "upstreams": called,
            },
            "envelope": self._describe_envelope(flow, limits, is_learned),
            "deviating": deviating,
            "in_words": self._say(flow, state, deviating, measures, limits),
        }

    def describe_events(self, now: Now, n: int = EVENTS_SHOWN) -> list[Json]:
        """Return the latest events, newest first."""
        latest = list(self._registry.events)[-n:]
        return [describe_event(event, now) for event in reversed(latest)]

    def _choose(self, query: Query) -> list[int]:
        """Return the flows asked for, the greatest first, as many as the page can reach."""
        registry = self._registry
        profiles = registry.profiles
        n = profiles.n_used
        if query.state == "restrained":
            chosen = np.array([flow for flow in registry.restraints if flow < n], np.int64)
        else:
            is_chosen = profiles.calls[:n] > 0
            if query.state == "deviating":
                is_chosen &= registry.deviates[:n].any(axis=1)
            chosen = np.flatnonzero(is_chosen)
        if query.find:
            chosen = chosen[np.isin(chosen, self._find(query.find, n))]
        if query.sort == "cost":
            values = np.array(self._identities.flows.service[:n])[chosen]
        elif query.sort == "calls":
            values = profiles.calls[chosen]
        else:
            values = profiles.measures[chosen, MEASURES.index(query.sort)]
        order = np.argsort(-values, kind="stable")[: query.offset + query.limit]
        found: list[int] = chosen[order].tolist()
        return found

    def _find(self, text: str, n: int) -> list[int]:
        """Return the first ``n`` flows' numbers that a label, or part of a name, stands for."""
        if text.startswith(f"{self._identities.flows.prefix}-"):
            return self._identities.flows.find_labelled(text)
        registry = self._registry
        named = [
            idx
            for idx, rule in enumerate(registry.rules)
            if rule.name and text.casefold() in rule.name.casefold()
        ]
        found: list[int] = np.flatnonzero(np.isin(registry.rule_of[:n], named)).tolist()
        return found

    def _describe_envelope(self, flow: int, limits: list[float], is_learned: bool) -> Json:
        rule = int(self._registry.rule_of[flow])
        declared = "declared" if rule > NO_RULE else "default"
        source = "learned" if is_learned else declared
        if not is_learned and min(limits) == UNLIMITED:
            source = "none"
        found: Json = {name: _or_none(x) for name, x in zip(MEASURES, limits, strict=True)}
        allowed = self._registry.rules[max(rule, NO_RULE)].envelope.upstreams
        found["upstreams"] = (
            None
            if allowed == -1
            else [x for idx, x in enumerate(self._upstreams) if allowed >> idx & 1]
        )
        return {"source": source, **found}

    def _say(
        self,
        flow: int,
        state: str,
        deviating: list[str],
        measures: list[float],
        limits: list[float],
    ) -> list[str]:
        would = "would be " if self._is_observing() else "is "
        found = []
        if state == "quarantined":
            found.append(f"It {would}answered 403 until a person releases it.")
        elif state == "held":
            cap = self._registry.restraints[flow].cap
            found.append(f"It {would}held to {cap} calls in flight until a person releases it.")
        for name in deviating:
            idx = MEASURES.index(name)
            if measures[idx] > limits[idx]:
                found.append(say_deviation(name, measures[idx], limits[idx]))
            else:
                found.append(f"Its {name.replace('_', ' ')} was above its envelope lately.")
        return found or ["It keeps to its envelope." if min(limits) < UNLIMITED else "No limits."]


def say_deviation(measure: str, value: float, limit: float) -> str:
    """Return a deviation as a sentence.

    Examples
    --------
    >>> say_deviation("rate", 7.25, 5.0)
    'It sends 7.25 calls/s; its envelope allows 5.'
    """
    if measure == "rate":
        return f"It sends {value:.3g} calls/s; its envelope allows {limit:.3g}."
    if measure == "in_flight":
        return f"It has {value:.0f} calls in flight; its envelope allows {limit:.0f}."
    if measure == "fan_out":
        return f"Its tree has {value:.0f} calls alive; its envelope allows {limit:.0f}."
    if measure == "retries":
        return f"{value:.0%} of its calls are retries; its envelope allows {limit:.0%}."
    return "It calls an upstream that its envelope does not name."


def describe_event(event: Event, now: Now) -> Json:
    """Return one event; acts and deviations in words."""
    if event.kind == "deviation_began":
        words = say_deviation(event.measure, event.value, event.limit)
    elif event.kind == "deviation_ended":
        words = f"Its {event.measure.replace('_', ' ')} has been within its envelope for a while."
    else:
        words = f"{event.kind.capitalize()} by {event.by}{': ' if event.why else ''}{event.why}."
    return {
        "sequence": event.sequence,
        "time_s": _instant_s(event.at_ns, now),
        "kind": event.kind,
        "id": event.flow,
        "agent": event.agent or None,
        "measure": event.measure or None,
        "value": event.value if event.measure else None,
        "limit": _or_none(event.limit) if event.measure else None,
        "by": event.by,
        "in_words": words,
    }


def _rhythm(dispersion: float | None) -> str:
    if dispersion is None:
        return "too few calls to tell"
    if dispersion < STEADY:
        return "steady"
    return "bursty" if dispersion > BURSTY else "independent"


def _instant_s(at_ns: int, now: Now) -> float | None:
    if not at_ns:
        return None
    return round((at_ns + now.unix_ns - now.monotonic_ns) / 1e9, 3)


def _or_none(value: float) -> float | None:
    return None if value == UNLIMITED else value
