"""The keeper: every gate, the signals, the registry, the recorder and the control plane.

*Rule of this file*: a :class:`~governor.runtime.Runtime` whose data plane is in other processes.

*Theory*: it looks at the rings when its bell rings, and while there is traffic every
``LOOK_S`` besides: then workers ring only for what cannot wait (a decision, a place that comes
free while somebody waits for it), and an admitted call costs nobody a wake-up. After
``QUIET_TURNS`` turns without a record it sleeps until it is rung.

*Cost*: idle, twenty ticks a second, as one process has.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic_ns
from typing import cast

from governor.config.model import Config
from governor.control.agents.audit import AuditTrail
from governor.control.dashboard.switch import SWITCHES
from governor.control.view import WorkerState
from governor.errors import opening
from governor.processes.counters import Counters
from governor.proxy.server import ProxyServer
from governor.proxy.stats import ProxyStats
from governor.runtime import Runtime, report_fault
from governor.workers.board import Board, KeeperWord, Life, WorkerWord
from governor.workers.host import Host
from governor.workers.pages import read_page
from governor.workers.ring import AWAKE, DOZING, SLEEPING
from policies.limit import AdaptiveLimit, FixedLimit

LOOK_S = 0.002
"""What is admitted within credit is booked within 2 ms; a signal's shortest window is 20 ms."""

QUIET_TURNS = 10

N_MOST = 512
"""Records in one turn: 10 ms, then the control plane has its own."""

SHOW_TICKS = 5
"""Ticks between two readings of the workers' counters."""


class Keeper(Runtime):
    """What decides for all workers.

    Parameters
    ----------
    config : Config
    board : Board
    """

    def __init__(self, config: Config, board: Board) -> None:
        self._board = board
        self._first_place: dict[str, int] = {}
        place = 0
        for name, upstream in config.upstreams.items():
            self._first_place[name] = place
            place += len(upstream.endpoints)
        super().__init__(config)
        registry = self.registry if config.agents else None
        self.host = Host(board, list(self.gates.values()), self.identities, registry)
        if board.keeper[KeeperWord.EPOCH]:  # workers heed what was switched under the last keeper
            policies = config.policies
            self.host.switched = {name: getattr(policies, name) for name in SWITCHES}
        self._counters = Counters(self.stats, self.tally, self.access_log)
        if self.telemetry is not None:
            self.telemetry.shippers.pop("spans", None)  # workers send their own
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look: asyncio.Handle | None = None
        self._all_gone = asyncio.Event()
        self._n_quiet = 0
        self._n_ticks = 0

    def _make_proxy(self) -> ProxyServer:
        return cast("ProxyServer", Elsewhere(self.stats))

    def _make_limit(self, name: str, number: int) -> AdaptiveLimit | FixedLimit:
        """Return an endpoint's limit; an adaptive one begins where that of the last keeper was."""
        limit = super()._make_limit(name, number)
        known = self._board.limits[self._first_place[name] + number]
        if known and isinstance(limit, AdaptiveLimit):
            return AdaptiveLimit(rng_seed=number + 1, initial=known)
        return limit

    # -- life -----------------------------------------------------------------

    async def run(self) -> None:
        """Serve until SIGTERM; the supervisor sends it when the workers are done.

        Raises
        ------
        ConfigError
            If an address cannot be listened on or a file not be opened.
        """
        loop = self._loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self.record_now)
        try:
            await self._begin(loop)
            await stop.wait()
            self.is_draining = True
            await self._wait_for_workers()
        finally:
            await self.close()

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        audit: AuditTrail = self.audit
        with opening("admin.audit_file", self.config.admin.audit_file or ""):
            audit.open()
        with opening("admin.address", self.config.admin.address or ""):
            await self.control.start()
        if self.telemetry is not None:
            from governor.control.collector import GovernorCollector

            self.telemetry.start(GovernorCollector(self).collect)
        gc.enable()
        self._start_ticking()
        keeper = self._board.keeper
        address = self.control.address
        keeper[KeeperWord.CONTROL_PORT] = address[1] if address is not None else 0
        keeper[KeeperWord.BEAT_NS] = monotonic_ns()
        keeper[KeeperWord.LIFE] = Life.SERVING
        keeper[KeeperWord.EPOCH] += 1  # what was written before the rings were emptied comes again
        loop.add_reader(self._board.keeper_bell.fd, self._on_bell)
        self._turn()  # from here on workers know when to ring
        for bell in self._board.worker_bells:
            bell.ring()

    async def _wait_for_workers(self) -> None:
        """Be there until the last worker has finished: they drain, and ask until they have."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.drain_timeout_s + 1.0):
                await self._all_gone.wait()
        self.host.drain()
        self._show_counters()

    def refresh(self) -> None:
        """Read what workers have written until now."""
        self.host.drain(N_MOST)
        super().refresh()

    def switch(self, name: str, value: str) -> None:
        """Set ``mode`` or one policy of every upstream and of all workers' routes."""
        super().switch(name, value)
        self.host.switch(monotonic_ns(), name, value)

    @property
    def is_ready(self) -> bool:
        """Whether a worker serves."""
        return any(row[WorkerWord.LIFE] == Life.SERVING for row in self._board.workers)

    @is_ready.setter
    def is_ready(self, value: bool) -> None:
        """Only the workers know."""

    @property
    def workers(self) -> Sequence[WorkerState]:
        """Who is there, since when, and what each holds."""
        return [
            WorkerState(
                row,
                Life(words[WorkerWord.LIFE]).name.lower(),
                words[WorkerWord.PID],
                words[WorkerWord.EPOCH],
                sum(self._board.opens[row]),
                words[WorkerWord.N_UNASKED],
            )
            for row, words in enumerate(self._board.workers)
        ]

    # -- turns ------------------------------------------------------------------

    def _on_bell(self) -> None:
        self._board.keeper_bell.hush()
        self._turn()

    def _turn(self) -> None:
        """Act on what workers have written, and say how soon it will be looked again."""
        assert self._loop is not None
        if self._look is not None:
            self._look.cancel()  # one turn is due at a time, whoever asked for it
            self._look = None
        self.host.sleep(AWAKE)
        try:
            n = self.host.drain(N_MOST)
        except Exception as error:
            self.host.n_faults += 1
            report_fault(error)
            n = 1
        self._n_quiet = 0 if n else self._n_quiet + 1
        depth = SLEEPING if self._n_quiet > QUIET_TURNS else DOZING
        if self.host.sleep(depth):
            self._look = self._loop.call_soon(self._turn)
        elif depth == DOZING:
            self._look = self._loop.call_later(LOOK_S, self._turn)

    def _tick_gates(self, now_ns: int) -> None:
        host = self.host
        self.is_draining = bool(self._board.keeper[KeeperWord.IS_DRAINING])
        if self.is_ready:
            self._all_gone.clear()
        else:
            self._all_gone.set()  # whether it matters is for who waits to say
        try:
            host.drain(N_MOST)
            host.tick(now_ns)
            self._n_ticks += 1
            if self._n_ticks % SHOW_TICKS == 0:
                self._show_counters()
        except Exception as error:
            host.n_faults += 1
            report_fault(error)

    def _show_counters(self) -> None:
        board = self._board
        self._counters.show(
            (read_page(page), words[WorkerWord.LIFE] == Life.SERVING)
            for page, words in zip(board.pages, board.workers, strict=True)
        )


class Elsewhere:
    """In place of a data plane: the workers' counters, added up."""

    def __init__(self, stats: ProxyStats) -> None:
        self.stats = stats
        self.router = NoRoutes()

    def close(self) -> None:
        """There is nothing here to close."""


class NoRoutes:
    """Routes are in the workers."""

    routes = ()
