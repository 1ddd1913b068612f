"""One Governor process: what the configuration says, made, started, drained.

*Rule of this file*: construction and life. It owns the clock of the tick; the
signals of the process are :mod:`governor.serving`'s. Nothing here runs on a
request's path.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic_ns, time_ns
from typing import Any, NamedTuple

import governor
import signals as signal_kernels
from governor.config.durations import Address
from governor.config.model import Config, Upstream
from governor.control import AccessLogWriter, ControlPlane, LoopLag, RequestTally
from governor.control.agents import AuditTrail
from governor.control.collector import GovernorCollector
from governor.control.telemetry import make_telemetry
from governor.control.view import FleetView, WorkerState
from governor.core.decision_log import DecisionLog, Intervention
from governor.core.faults import Part
from governor.core.gate import Gate
from governor.core.identity import Identities
from governor.core.rest import Rota
from governor.core.shaping import Shaping
from governor.core.spread import SpreadGate
from governor.errors import ConfigError, Problem, opening
from governor.footprint import release_compiler
from governor.processes.data_plane import Pools, done_hook, make_pools, make_server
from governor.proxy.agents import AgentMatcher
from governor.proxy.arrivals import ArrivalReader
from governor.proxy.exchange import Exchange, apply_all
from governor.proxy.server import ProxyServer
from governor.proxy.stats import ProxyStats
from governor.record.recorder import Recorder
from governor.resolved import make_registry, modes_of, switches_of, terms_of
from policies.limit import AdaptiveLimit, FixedLimit, Limit
from policies.limit.shared import SharedLimit
from signals import Shared, SignalBank

TICK_S = 0.05
"""The detectors look across their windows twenty times a second."""

SHOWN_NS = 1_000_000_000
"""A rate of the last second of an upstream that nobody calls is not asked for more often."""

GC_THRESHOLD = 50_000
"""Allocations between collections of the young: requests make few cycles, pauses cost p99."""

NOT_READY_S = 0.2
"""Between 'not ready' and closing the listeners, so that a balancer can look away."""

_log = logging.getLogger("governor")
_NS = 1_000_000_000


class RuntimeInfo(NamedTuple):
    """Where a running Governor can be reached."""

    proxy_urls: tuple[str, ...]
    """One per listener, in the order of the configuration."""
    control_url: str | None
    runtime: Runtime | None
    """None where several processes run."""

    @property
    def proxy_url(self) -> str:
        """Where the first listener can be reached."""
        return self.proxy_urls[0]


class Runtime:
    """Everything that one process runs.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    gates : dict of str to Gate
        By upstream name.
    pools : dict of str to tuple of EndpointPool
        By upstream name, one pool per endpoint in the gate's order.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.started_at_ns = monotonic_ns()
        self.is_ready = False
        self.is_draining = False
        self.identities = Identities()
        self.telemetry = make_telemetry(os.environ, governor.__version__, _log.warning)
        sample = self.telemetry.sample if self.telemetry is not None else None
        self.decision_log = DecisionLog(
            get_request_id=_request_id_of, on_append=_remember if sample is not None else None
        )
        self.tally = RequestTally()
        self.lag = LoopLag()
        self.access_log = AccessLogWriter(config.access_log.mode, config.access_log.path)
        self.stats = ProxyStats()
        self.shared_signals = Shared(
            n_trees=self.identities.trees.capacity, n_flows=self.identities.flows.capacity
        )
        self.registry = make_registry(config, self.identities, self.shared_signals)
        self.identities.flows.on_handover = self._forget_flow
        self.audit = AuditTrail(config.admin.audit_file)
        self.gates = {
            name: self._make_gate(idx, name, upstream)
            for idx, (name, upstream) in enumerate(config.upstreams.items())
        }
        for name, upstream in config.upstreams.items():
            if upstream.fallback is not None:
                self.gates[name].fallback = self.gates[upstream.fallback]
        is_recording = config.recorder.mode != "off"
        self.recorder: Recorder | None = None
        if is_recording:
            self.recorder = Recorder(config, self.gates, self.identities, self.registry)
        self._gates = tuple(self.gates.values())
        self._rota = Rota(self._gates)
        self.pools: Pools = {}
        self.proxy = self._make_proxy()
        self.fleet = self._make_fleet()
        self.control = ControlPlane(self)
        self._tick_timer: asyncio.TimerHandle | None = None
        self._tick_due_s = 0.0
        self._dumps: set[asyncio.Future[dict[str, Any]]] = set()

    def _forget_flow(self, flow: int) -> None:
        """A flow's number stands for another caller from now on."""
        self.shared_signals.forget_flow(flow)
        self.registry.forget(flow)

    def _make_fleet(self) -> FleetView | None:
        """Return this governor's part in its fleet; None where it is configured alone.

        Raises
        ------
        ConfigError
            If the extra that it needs is not installed.
        """
        config = self.config.fleet
        if config is None:
            return None
        try:
            from governor.fleet.fleet import Fleet
        except ImportError as error:
            why = "needs redis-py: pip install 'agent-governor[fleet]'"
            raise ConfigError(Problem("this machine", "fleet", "", why)) from error
        endpoints = {name: x.endpoints for name, x in self.config.upstreams.items()}
        return Fleet(config, self.gates, endpoints)

    def _make_proxy(self) -> ProxyServer:
        config = self.config
        self.pools = make_pools(config, self.stats)
        agents = AgentMatcher([x.match for x in config.agents], self.registry)
        return make_server(
            config,
            self.gates,
            self.pools,
            self.stats,
            self.tally,
            ArrivalReader(
                self.identities, agents=agents if config.agents else None, stats=self.stats
            ),
            done_hook(config, self.access_log, self.telemetry),
            self.telemetry.sample if self.telemetry is not None else None,
            report_fault,
        )

    def _make_limit(self, name: str, number: int) -> AdaptiveLimit | FixedLimit:
        """Return the limit of one endpoint of an upstream."""
        limit = self.config.upstreams[name].limit
        return AdaptiveLimit(rng_seed=number + 1) if limit == "auto" else FixedLimit(limit)

    def _make_gate(self, idx: int, name: str, upstream: Upstream) -> Gate:
        policies = self.config.policies
        limits: list[Limit] = []
        for number in range(len(upstream.endpoints)):
            limit = self._make_limit(name, number)
            limits.append(limit if self.config.fleet is None else SharedLimit(limit))
        has_choice = len(upstream.endpoints) > 1 or upstream.fallback is not None
        make: Callable[..., Gate] = Gate
        if has_choice and upstream.reroute == "on":  # switched off, it may be switched on again
            make = partial(SpreadGate, reroute_seed=idx + 1)
        return make(
            name,
            limits,
            SignalBank(
                self.identities.flows.capacity,
                self.shared_signals,
                idx,
                n_tenants=self.identities.tenants.capacity,
            ),
            self.identities,
            is_observing=policies.mode == "observe",
            patience_ns=int(policies.patience_s * _NS),
            max_wait_ns=int(upstream.max_wait_s * _NS),
            max_waiting=upstream.max_waiting,
            slot_horizon_ns=int(policies.slot_horizon_s * _NS),
            shaping=Shaping(
                modes_of(policies),
                upstream.acceleration,
                policies.holdback_share,
                self.identities.flows.capacity,
            ),
            log=self.decision_log,
        )

    # -- life ---------------------------------------------------------------

    async def start(self) -> None:
        """Compile, listen, tick. Ready when it returns.

        Raises
        ------
        ConfigError
            If an address cannot be listened on or the access log not be opened.
        """
        signal_kernels.warm_up()
        release_compiler()
        with opening("access_log.path", self.config.access_log.path):
            self.access_log.open()
        with opening("admin.audit_file", self.config.admin.audit_file or ""):
            self.audit.open()
        try:
            with opening("listeners.address, admin.address"):
                await self.proxy.start()
                await self.control.start()
        except ConfigError:
            await self.close()
            raise
        if self.telemetry is not None:
            self.telemetry.start(GovernorCollector(self).collect)
        gc.collect()
        gc.freeze()
        self._start_ticking()
        self.is_ready = True

    def _start_ticking(self) -> None:
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        loop = asyncio.get_running_loop()
        self._tick_due_s = loop.time() + TICK_S
        self._tick_timer = loop.call_at(self._tick_due_s, self._tick)
        if self.fleet is not None:
            self.fleet.start()

    async def drain(self) -> bool:
        """Turn 'not ready', finish what is in flight, close. Return whether all finished."""
        self.is_draining = True
        await asyncio.sleep(NOT_READY_S)
        is_clean = await self.proxy.drain(self.config.drain_timeout_s)
        await self.close()
        return is_clean

    async def close(self) -> None:
        """Stop at once; idempotent."""
        self.is_ready = False
        if self._tick_timer is not None:
            self._tick_timer.cancel()
            self._tick_timer = None
        self.proxy.close()
        if self.fleet is not None:
            await self.fleet.close()
        await self.control.close()
        await self.access_log.close()
        if self.recorder is not None:
            await self.recorder.close()
        if self.telemetry is not None:
            await self.telemetry.close()

    def refresh(self) -> None:
        """Let what is shown of upstreams that rest be no older than ``SHOWN_NS``."""
        now_ns = monotonic_ns()
        for gate in self._gates:
            if gate.rests and now_ns - gate.ticked_ns >= SHOWN_NS:
                gate.tick(now_ns)  # nobody waits there: it decides nothing

    def switch(self, name: str, value: str) -> None:
        """Set ``mode`` or one policy of every upstream and route; a restart forgets it.

        Who waits already goes on waiting: a place or its patience ends it, as promised.
        """
        policies = self.config.policies.model_copy(update={name: value})
        self.config = self.config.model_copy(update={"policies": policies})
        for gate in self.gates.values():
            gate.switch(switches_of(policies), policies.mode == "observe")
        for route in self.proxy.router.routes:
            own = route.policies
            route.lay_down(terms_of(policies, own), switches_of(policies, own))
        _log.warning("policy switch: %s is %s from now on", name, value)

    @property
    def workers(self) -> Sequence[WorkerState]:
        """Other processes that serve callers: none."""
        return ()

    @property
    def info(self) -> RuntimeInfo:
        """Addresses as really bound."""
        listening = zip(self.config.listeners, self.proxy.addresses, strict=True)
        urls = (f"{'https' if x.tls else 'http'}://{Address(*at)}" for x, at in listening)
        return RuntimeInfo(tuple(urls), self.control.url or None, self)

    # -- callbacks ----------------------------------------------------------

    def _tick(self) -> None:
        """Run every gate's look across its window, and measure how late the loop is."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self.lag.observe(now_s - self._tick_due_s)
        self._tick_due_s = max(self._tick_due_s + TICK_S, now_s)
        self._tick_timer = loop.call_at(self._tick_due_s, self._tick)
        now_ns = monotonic_ns()
        if self.fleet is not None:
            self.fleet.tick(now_ns)
        self._tick_gates(now_ns)
        try:
            self.registry.tick(now_ns)
            self.audit.collect(self.registry, now_ns, time_ns())
        except Exception as error:
            self.registry.n_faults += 1
            if self.registry.n_faults == 1:  # once: it would come with every tick
                report_fault(error)
        if self.recorder is not None:
            self.recorder.tick(now_ns)

    def _tick_gates(self, now_ns: int) -> None:
        for idx in self._rota.due():
            gate = self._gates[idx]
            try:
                apply_all(gate.tick(now_ns))
            except Exception as error:
                gate.ledger.faults.note(Part.GATE)
                report_fault(error)

    def record_now(self) -> None:
        """Write what is recorded to its file (SIGUSR1)."""
        if self.recorder is None:
            _log.warning("nothing is recorded: set recorder.mode to storm or continuous")
            return
        dump = asyncio.ensure_future(self.recorder.dump())
        self._dumps.add(dump)
        dump.add_done_callback(self._end_dump)

    def _end_dump(self, dump: asyncio.Future[dict[str, Any]]) -> None:
        self._dumps.discard(dump)
        if not dump.cancelled() and (error := dump.exception()) is not None:
            _log.error("the recording cannot be written: %s", error)


def _request_id_of(owner: object) -> str:
    """Return the request id of a lease's owner, which is an exchange of the data plane."""
    request_id = getattr(owner, "request_id", b"")
    return request_id.decode("ascii", "backslashreplace") if request_id else ""


def _remember(owner: object, entry: Intervention) -> None:
    """Keep an intervention with its request, which is an exchange of the data plane."""
    if isinstance(owner, Exchange):
        owner.interventions = (*owner.interventions, entry)


def report_fault(error: Exception) -> None:
    """Say on standard error that a bug of ours was survived; it is counted where it was caught."""
    _log.error("a fault of Governor's own, survived: %r", error, exc_info=error)
