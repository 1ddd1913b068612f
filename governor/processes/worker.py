"""One worker: listeners, connections and pools, before gates that are in the keeper's process.

*Rule of this file*: construction and life of one of several data planes. What it decides by
itself is nothing; what it reads of a policy (routes' terms, what is absorbed and shared) it is
told when it is switched.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Sequence
from socket import socket
from time import monotonic_ns
from typing import Any, cast

import governor
from governor.config.model import Config
from governor.control import AccessLogWriter, RequestTally
from governor.control.telemetry import make_telemetry
from governor.core.identity import Identities
from governor.errors import opening
from governor.processes.counters import Counters
from governor.processes.data_plane import done_hook, make_pools, make_server
from governor.processes.stopping import Stopping
from governor.proxy.agents import AgentMatcher
from governor.proxy.arrivals import ArrivalReader
from governor.proxy.request_ids import begin_request_ids
from governor.proxy.stats import ProxyStats
from governor.resolved import switches_of, terms_of
from governor.runtime import GC_THRESHOLD, report_fault
from governor.workers.board import Board, Life, WorkerWord
from governor.workers.keys import Keys, LatestRule
from governor.workers.link import Link
from governor.workers.pages import read_page, write_page
from governor.workers.records import NO_RULE_TOLD
from governor.workers.remote_gate import RemoteGate

TICK_S = 0.05
"""As often as the keeper turns; so often it is seen whether it does."""

PAGE_TICKS = 5
"""Ticks between two writings of the counters: a quarter of a second."""


class Worker:
    """Everything that one worker's process runs.

    Parameters
    ----------
    config : Config
        Of the whole Governor.
    board : Board
    row : int
        Which worker it is.
    salt : bytes
        Of all workers: the same caller has the same key at each.
    """

    def __init__(self, config: Config, board: Board, row: int, salt: bytes) -> None:
        self.config = config = share_of(config, board.n_workers)
        self._words = board.workers[row]
        self._page = board.pages[row]
        self._rule = LatestRule()
        get_rule = (lambda: self._rule.number) if config.agents else (lambda: NO_RULE_TOLD)
        self.link = Link(board, row, get_rule=get_rule, on_switch=self.switch)
        self.gates: dict[str, RemoteGate] = {}
        place = 0
        for idx, (name, upstream) in enumerate(config.upstreams.items()):
            n, has_fallback = len(upstream.endpoints), upstream.fallback is not None
            self.gates[name] = RemoteGate(self.link, idx, name, place, n, has_fallback)
            place += n
        for name, upstream in config.upstreams.items():
            if upstream.fallback is not None:
                self.gates[name].fallback = self.gates[upstream.fallback]
        self.stats = ProxyStats()
        self.access_log = AccessLogWriter(
            config.access_log.mode, config.access_log.path, is_shared=True
        )
        self.telemetry = make_telemetry(os.environ, governor.__version__, lambda text: None)
        if self.telemetry is not None:
            self.telemetry.shippers.pop("metrics", None)  # the keeper sends everybody's
        tally = RequestTally()
        self.counters = Counters(self.stats, tally, self.access_log)
        self.counters.show([(read_page(self._page), False)])
        self.pools = make_pools(config, self.stats)
        self.proxy = make_server(
            config,
            self.gates,
            self.pools,
            self.stats,
            tally,
            ArrivalReader(
                cast("Identities", Keys()), salt, agents=self._matcher(), stats=self.stats
            ),
            done_hook(config, self.access_log, self.telemetry),
            self.telemetry.sample if self.telemetry is not None else None,
            report_fault,
        )
        self.proxy.tells_quota = False  # what is known of quotas the keeper knows
        self._loop: asyncio.AbstractEventLoop | None = None
        self._n_ticks = 0

    def _matcher(self) -> AgentMatcher | None:
        agents = self.config.agents
        if not agents:
            return None
        matcher = AgentMatcher([x.match for x in agents], cast("Any", _NoRules()))
        matcher.rule_of = cast("Any", self._rule)
        return matcher

    async def run(self, sockets: Sequence[Sequence[socket]]) -> None:
        """Serve until SIGTERM, then finish what is in flight; a second one ends it at once.

        Raises
        ------
        ConfigError
            If the access log cannot be opened, or a certificate not be used.
        """
        loop = self._loop = asyncio.get_running_loop()
        stopping = Stopping(signal.SIGTERM)
        self.link.soon = lambda: _call_soon(loop, self.link.receive)
        loop.add_reader(self.link.bell.fd, self._receive)
        begin_request_ids()
        with opening("access_log.path", self.config.access_log.path):
            self.access_log.open()
        with opening("listeners.tls"):
            await self.proxy.start(sockets=sockets)
        if self.telemetry is not None:
            self.telemetry.start(lambda: ())
        gc.enable()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        self._tick()
        self._words[WorkerWord.PID] = os.getpid()
        self._words[WorkerWord.LIFE] = Life.SERVING
        await stopping.asked()
        await stopping.drain(self.proxy.drain(self.config.drain_timeout_s))
        await self._close()

    async def _close(self) -> None:
        self.proxy.close()
        await self.access_log.close()
        if self.telemetry is not None:
            await self.telemetry.close()
        self.link.tick(monotonic_ns())
        self._write_page()
        self._words[WorkerWord.LIFE] = Life.STOPPED

    def switch(self, name: str, value: str) -> None:
        """Heed a policy that was switched: the routes' own terms are laid down here."""
        policies = self.config.policies.model_copy(update={name: value})
        self.config = self.config.model_copy(update={"policies": policies})
        for route in self.proxy.router.routes:
            own = route.policies
            route.lay_down(terms_of(policies, own), switches_of(policies, own))

    def _receive(self) -> None:
        try:
            self.link.receive()
        except Exception as error:
            self.stats.n_faults += 1
            report_fault(error)

    def _tick(self) -> None:
        assert self._loop is not None
        self._loop.call_later(TICK_S, self._tick)
        try:
            now_ns = monotonic_ns()
            self.link.tick(now_ns)
            self._n_ticks += 1
            if self._n_ticks % PAGE_TICKS == 0:
                for gate in self.gates.values():
                    gate.tell_shared(now_ns)
                self._write_page()
        except Exception as error:
            self.stats.n_faults += 1
            report_fault(error)

    def _write_page(self) -> None:
        write_page(self._page, self.counters.encode())


class _NoRules:
    """In place of a registry: who is who the keeper knows."""

    rule_of = b""


def _call_soon(loop: asyncio.AbstractEventLoop, act: Any) -> None:
    loop.call_soon(act)


def share_of(config: Config, n_workers: int) -> Config:
    """Return what one of several workers may take of what is bounded for all together."""

    def part(n: int) -> int:
        return -(-n // n_workers)

    listeners = tuple(
        x.model_copy(update={"max_connections": part(x.max_connections)}) for x in config.listeners
    )
    upstreams = {
        name: x.model_copy(
            update={
                "max_connections": part(x.max_connections),
                "max_idle_connections": part(x.max_idle_connections),
            }
        )
        for name, x in config.upstreams.items()
    }
    return config.model_copy(update={"listeners": listeners, "upstreams": upstreams})
