"""The parent: forks, waits, replaces, passes signals on. It serves nothing and decides nothing.

*Rule of this file*: no event loop, no thread; a loop over signals. Whatever is slow (imports,
compiled kernels) happens here before the first fork, so that a process is replaced in the time
that its own objects take.

*Theory*: the supervisor binds every listening socket, one for each worker and address
(``SO_REUSEPORT``), and keeps them open. So a worker's death refuses no connection: those that
the kernel has taken for it wait until its successor accepts them.

A process that dies is replaced at once; one that dies again and again within ``YOUNG_S`` after a
pause that doubles. All children get SIGTERM if the supervisor itself is killed, and drain.

*Regime*: Linux, where ``SO_REUSEPORT`` spreads connections over sockets.
*Considered and rejected*: one listening socket for all (every worker wakes for each connection,
and the first that turns takes most); binding in the workers (a dying one takes its queue along).
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from secrets import token_bytes
from typing import Any

import uvloop

import signals as signal_kernels
from governor.config.durations import Address
from governor.config.model import Config
from governor.errors import ConfigError, opening
from governor.footprint import release_compiler
from governor.notify import READY, WATCHDOG, notify, notify_stopping, watchdog_interval_s
from governor.processes.keeper import Keeper
from governor.processes.worker import Worker
from governor.proxy.server import BACKLOG
from governor.runtime import NOT_READY_S, RuntimeInfo
from governor.workers.board import Board, KeeperWord, Life, WorkerWord
from governor.workers.link import SILENCE_NS

KEEPER = -1
"""In place of a worker's row."""

HANG_NS = 10_000_000_000
"""A keeper that has not turned for so long is killed: workers go on without it, but who waits at it
waits for nothing, and what is to be told to it gathers. It turns twenty times a second."""

YOUNG_S = 5.0
PAUSE_S = 0.1
PAUSE_MAX_S = 5.0
START_S = 0.005
"""Between two looks at whether all have started."""
END_S = 3.0
"""Beyond what draining may take, before what is left is killed."""

_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_PR_SET_PDEATHSIG = 1

Sockets = list[list[list[socket.socket]]]
"""By worker and listener: one per address of its host."""


class Child:
    """One process."""

    def __init__(self, row: int, pid: int, started_s: float) -> None:
        self.row = row
        self.pid = pid
        self.started_s = started_s


class Supervisor:
    """Keeps a keeper and some workers running.

    Parameters
    ----------
    config : Config
    n_workers : int

    Attributes
    ----------
    children : dict of int to Child
        By row.
    """

    def __init__(self, config: Config, n_workers: int) -> None:
        n_places = sum(len(x.endpoints) for x in config.upstreams.values())
        page_bytes = 32_768 + 4_096 * len(config.routes)
        self.config = config
        self.board = Board(n_workers, n_places, len(config.upstreams), page_bytes)
        self.children: dict[int, Child] = {}
        self._salt = token_bytes(32)
        self._sockets = bind(config, n_workers)
        self._due: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._is_announced = False
        self._n_stops = 0
        self._stop_at_s = 0.0
        self._exit_code = 0
        self._watchdog_s = watchdog_interval_s()
        self._watchdog_at_s = 0.0

    def run(self, on_ready: Callable[[RuntimeInfo], None] | None = None) -> int:
        """Run until SIGTERM or SIGINT; return the exit code.

        Raises
        ------
        ConfigError
            If the access log cannot be written.
        """
        self._check_log()
        signal_kernels.warm_up()
        release_compiler()
        gc.collect()
        gc.freeze()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            for row in (KEEPER, *range(self.board.n_workers)):
                self._fork(row)
            while not self._is_over():
                self._wait(on_ready)
        finally:
            self._kill_all()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self.board.close()
            self._close_sockets()
        return self._exit_code

    def _check_log(self) -> None:
        """Find out here what every worker would find out."""
        log = self.config.access_log
        if log.mode != "off" and log.path != "-":
            with opening("access_log.path", log.path):
                open(log.path, "ab").close()

    # -- turns ------------------------------------------------------------------

    def _is_over(self) -> bool:
        return not self.children and (self._n_stops > 0 or not self._due)

    def _wait(self, on_ready: Callable[[RuntimeInfo], None] | None) -> None:
        """Wait for a signal, or until something is due; act on it."""
        now_s = time.monotonic()
        wait_s = START_S if not self._is_announced else 1.0
        for due_s in [*self._due.values(), *([self._stop_at_s] if self._stop_at_s else [])]:
            wait_s = min(wait_s, max(0.0, due_s - now_s))
        info = signal.sigtimedwait(_SIGNALS, wait_s)
        if info is not None:
            if info.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif info.si_signo == signal.SIGUSR1:
                self._send(KEEPER, signal.SIGUSR1)
        self._reap()
        now_s = time.monotonic()
        if self._n_stops:
            self._go_on_stopping(now_s)
            return
        self._end_hanging()
        for row in [row for row, due_s in self._due.items() if due_s <= now_s]:
            del self._due[row]
            self._fork(row)
        if not self._is_announced and self._all_serve():
            self._is_announced = True
            notify(READY)
            if on_ready is not None:
                on_ready(self._info())
        self._say_that_it_turns(now_s)

    def _end_hanging(self) -> None:
        """Kill a keeper that hangs; its end is seen as any other."""
        keeper = self.board.keeper
        if keeper[KeeperWord.LIFE] == Life.SERVING:
            if time.monotonic_ns() - keeper[KeeperWord.BEAT_NS] > HANG_NS:
                self._send(KEEPER, signal.SIGKILL)

    def _say_that_it_turns(self, now_s: float) -> None:
        """Feed the service manager's watchdog, if there is one, for as long as the keeper turns."""
        if self._watchdog_s is None or not self._is_announced or now_s < self._watchdog_at_s:
            return
        beat_ns = self.board.keeper[KeeperWord.BEAT_NS]
        if time.monotonic_ns() - beat_ns < SILENCE_NS:
            notify(WATCHDOG)
            self._watchdog_at_s = now_s + self._watchdog_s

    def _all_serve(self) -> bool:
        board = self.board
        lives = [board.keeper[KeeperWord.LIFE], *(row[WorkerWord.LIFE] for row in board.workers)]
        return all(life == Life.SERVING for life in lives)

    def _info(self) -> RuntimeInfo:
        listeners = zip(self.config.listeners, self._sockets[0], strict=True)
        urls = [
            f"{'https' if x.tls else 'http'}://{Address(*found[0].getsockname()[:2])}"
            for x, found in listeners
        ]
        admin, port = self.config.admin.parsed, self.board.keeper[KeeperWord.CONTROL_PORT]
        control = f"http://{Address(admin.host, port)}" if admin is not None else None
        return RuntimeInfo(tuple(urls), control, None)

    # -- births and deaths --------------------------------------------------------

    def _fork(self, row: int) -> None:
        board = self.board
        words = board.keeper if row == KEEPER else board.workers[row]
        if row == KEEPER:
            words[KeeperWord.LIFE] = Life.STARTING
        else:
            words[WorkerWord.EPOCH] += 1
            words[WorkerWord.LIFE] = Life.STARTING
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            sockets = self._sockets[row] if row != KEEPER else []
            self._close_sockets(row)  # who holds one keeps its port open
            if row == KEEPER:
                become(parent, lambda: Keeper(self._keeper_config(), board).run())
            become(parent, lambda: Worker(self.config, board, row, self._salt).run(sockets))
        self.children[row] = Child(row, pid, time.monotonic())

    def _keeper_config(self) -> Config:
        """Return the configuration, with the control port that was bound the first time."""
        admin, port = self.config.admin, self.board.keeper[KeeperWord.CONTROL_PORT]
        if admin.parsed is None or not port:
            return self.config
        address = str(Address(admin.parsed.host, port))
        return self.config.model_copy(
            update={"admin": admin.model_copy(update={"address": address})}
        )

    def _reap(self) -> None:
        for child in list(self.children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self.children[child.row]
                self._died(child, status)

    def _died(self, child: Child, status: int) -> None:
        """Say so to whom it matters, and see to a successor."""
        board = self.board
        if child.row == KEEPER:
            board.keeper[KeeperWord.LIFE] = Life.DEAD
            for bell in board.worker_bells:
                bell.ring()
        else:
            words = board.workers[child.row]
            if words[WorkerWord.LIFE] != Life.STOPPED:
                words[WorkerWord.LIFE] = Life.DEAD
            board.keeper_bell.ring()
        if self._n_stops:
            return
        if not self._is_announced:  # it cannot be run on this machine, and has said why
            self._exit_code = os.waitstatus_to_exitcode(status) or 1
            self._stop()
            return
        now_s = time.monotonic()
        is_young = now_s - child.started_s < YOUNG_S
        pause_s = self._pauses.get(child.row, 0.0) if is_young else 0.0
        self._pauses[child.row] = min(max(PAUSE_S, 2 * pause_s), PAUSE_MAX_S)
        self._due[child.row] = now_s + pause_s
        who = "the keeper" if child.row == KEEPER else f"worker {child.row}"
        how = describe_end(status)
        print(f"governor: {who} ended ({how}); it is replaced", file=sys.stderr, flush=True)

    # -- the end --------------------------------------------------------------------

    def _stop(self) -> None:
        """Begin to drain; the second time, end at once."""
        self._n_stops += 1
        self._due.clear()
        now_s = time.monotonic()
        self.board.keeper[KeeperWord.IS_DRAINING] = 1
        if self._n_stops == 1:
            notify_stopping(self.config.drain_timeout_s)
            self._stop_at_s = now_s + (NOT_READY_S if self._is_announced else 0.0)
            return
        self._close_sockets()
        self._stop_at_s = now_s + END_S
        for row in range(self.board.n_workers):  # the second one ends a worker's draining
            self._send(row, signal.SIGTERM)

    def _go_on_stopping(self, now_s: float) -> None:
        if self._stop_at_s and now_s >= self._stop_at_s:
            if not self._sockets:
                self._kill_all()
                return
            self._close_sockets()
            self._stop_at_s = now_s + self.config.drain_timeout_s + END_S
            for row in range(self.board.n_workers):
                self._send(row, signal.SIGTERM)
        if not any(row != KEEPER for row in self.children):
            self._send(KEEPER, signal.SIGTERM)

    def _send(self, row: int, number: int) -> None:
        child = self.children.get(row)
        if child is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def _kill_all(self) -> None:
        for child in list(self.children.values()):
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
            del self.children[child.row]

    def _close_sockets(self, but_of: int = KEEPER) -> None:
        """Close all listening sockets in this process, but for those of one worker."""
        for row, listeners in enumerate(self._sockets):
            if row != but_of:
                for sock in (sock for found in listeners for sock in found):
                    sock.close()
        self._sockets = []


def bind(config: Config, n_workers: int) -> Sockets:
    """Return listening sockets on every configured address, for each worker its own.

    Raises
    ------
    ConfigError
        An address is taken or not this machine's.
    """
    sockets: Sockets = [[] for _ in range(n_workers)]
    for idx, listener in enumerate(config.listeners):
        address = listener.parsed
        port = address.port
        try:
            with opening(f"listeners[{idx}].address", str(address)):
                places = socket.getaddrinfo(
                    address.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
                )
                for found in sockets:
                    found.append([])
                    for family, kind, protocol, _, place in dict.fromkeys(places):
                        sock = socket.socket(family, kind, protocol)
                        found[idx].append(sock)
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                        if family == socket.AF_INET6:
                            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        sock.bind((place[0], port, *place[2:]))
                        sock.listen(BACKLOG)
                        sock.setblocking(False)
                        port = sock.getsockname()[1]
        except ConfigError:
            for found in sockets:
                for opened in found:
                    for sock in opened:
                        sock.close()
            raise
    return sockets


def become(parent: int, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Go on as a child of the supervisor; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent acts
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:
            uvloop.run(make())
        code = 0
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def describe_end(status: int) -> str:
    """Return in words how a process ended."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
