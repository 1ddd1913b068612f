"""What the configuration's words about policies and agents come to: numbers, settled at the start.

*Rule of this file*: from frozen configuration to the core's integers, once at the start.
"""

from __future__ import annotations

import os
import socket

from governor.config.agents import Envelope as EnvelopeConfig
from governor.config.model import Config
from governor.config.policies import Policies, RoutePolicies
from governor.core.arrival import URGENCY_DEFAULT
from governor.core.identity import Identities
from governor.core.registry import Learning, Registry, Rule
from governor.core.terms import Terms
from governor.errors import ConfigError, Problem
from policies.envelope import UNLIMITED, Envelope
from policies.switches import NO_SWITCHES, Modes, observe_all
from signals import Shared

_NS = 1_000_000_000


def modes_of(policies: Policies, own: RoutePolicies | None = None) -> Modes:
    """Return each policy's state: a route's own, else the file's."""
    states = [getattr(own, name, None) or getattr(policies, name) for name in Modes._fields]
    return Modes(*states)


def switches_of(policies: Policies, own: RoutePolicies | None = None) -> int:
    """Return the states, packed, for all or for a route; with ``mode: observe`` nothing governs."""
    switches = modes_of(policies, own).pack()
    return observe_all(switches) if policies.mode == "observe" else switches


def terms_of(policies: Policies, own: RoutePolicies) -> Terms:
    """Return what a route lays down; where it is what the file says anyway, nothing."""
    switches = switches_of(policies, own)
    is_same = switches == switches_of(policies)
    return Terms(
        NO_SWITCHES if is_same else switches,
        int((own.max_wait_s or 0.0) * _NS),
        int((own.patience_s or 0.0) * _NS),
        URGENCY_DEFAULT if own.urgency is None else own.urgency,
    )


def count_workers(config: Config) -> int:
    """Return how many processes serve callers.

    Raises
    ------
    ConfigError
        More than one on a system that cannot share a port among processes.
    """
    n = config.workers
    n_workers = _count_cores() if n == "auto" else n
    if n_workers > 1 and not (hasattr(socket, "SO_REUSEPORT") and hasattr(os, "fork")):
        message = "must be 1 on this system: it cannot share a port among processes"
        raise ConfigError(Problem("this machine", "workers", str(n), message))
    return n_workers


def _count_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def make_registry(config: Config, identities: Identities, signals: Shared) -> Registry:
    """Return the registry of agents, with its rules as configured."""
    names = list(config.upstreams)
    rules = [
        Rule(agent.name, envelope_of(agent, names), agent.on_deviation) for agent in config.agents
    ]
    default = learning = None
    if config.agents_default is not None:
        envelope = envelope_of(config.agents_default, names)
        default = Rule("", envelope, config.agents_default.on_deviation)
    if config.agents_learned is not None:
        learned = config.agents_learned
        learning = Learning(int(learned.after_s * _NS), learned.margin, learned.on_deviation)
    return Registry(identities, signals, rules, default, learning)


def envelope_of(config: EnvelopeConfig, upstreams: list[str]) -> Envelope:
    """Return an envelope in the core's terms: infinite where nothing is said, bits for names."""
    allowed = -1
    if config.upstreams is not None:
        allowed = sum(1 << upstreams.index(name) for name in set(config.upstreams))
    limits = (config.in_flight, config.rate, config.fan_out, config.retries)
    in_flight, rate_hz, fan_out, retries = (UNLIMITED if x is None else float(x) for x in limits)
    return Envelope(in_flight, rate_hz, fan_out, retries, allowed)
