"""Child processes of a measurement: pinned, awaited, accounted, always stopped.

*Rule of this file*: a process is only ever stopped by the id that was returned
when it was started. Each child asks the kernel to be told when its parent dies,
so that even a killed benchmark leaves nothing behind.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

HOST = "127.0.0.1"
"""The only address that a benchmark talks to."""

CLOCK_TICKS_HZ = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PR_SET_PDEATHSIG = 1
VENV_BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent
"""The project's root: children are started there, so that ``-m bench...`` resolves."""

_alive: list[Child] = []


class BenchError(Exception):
    """A measurement cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Usage:
    """What a process has used: processor seconds (user and system) and resident bytes."""

    cpu_s: float
    rss_bytes: int


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends (runs in the child)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    """Return the command bound to one core, or as it is where that cannot be done."""
    if core is None or shutil.which("taskset") is None or core >= (os.cpu_count() or 1):
        return list(command)
    return ["taskset", "-c", str(core), *command]


class Child:
    """One process of a measurement.

    Parameters
    ----------
    name : str
        Shown in messages.
    command : sequence of str
    core : int or None
        Core to run on; None leaves it to the scheduler.
    log : Path or None
        Where its output goes; None keeps standard output on a pipe for ``read_line``.
    folder : Path or None
        Its configuration; removed when it stops.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        core: int | None = None,
        log: Path | None = None,
        env: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._folder = folder
        output = log.open("wb") if log is not None else subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                pinned(command, core),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if log is not None else None,
                start_new_session=True,
                preexec_fn=die_with_parent,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
            )
        finally:
            if not isinstance(output, int):
                output.close()
        self.pid = self._process.pid
        _alive.append(self)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def read_line(self) -> str:
        """Return the next line of its standard output; empty at its end."""
        if self._process.stdout is None:
            raise BenchError(f"{self.name}: its output goes to {self.log}, not to a pipe")
        return self._process.stdout.readline().decode()

    def read_rest(self, timeout_s: float) -> str:
        """Wait for the process to end and return what it still printed."""
        try:
            out, _ = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            self.stop()
            raise BenchError(f"{self.name} did not end within {timeout_s:.0f} s") from error
        if self in _alive:
            _alive.remove(self)
        if self._process.returncode != 0:
            raise BenchError(f"{self.name} ended with status {self._process.returncode}")
        return (out or b"").decode()

    def usage(self) -> Usage:
        """Return what the process (all its threads) has used so far."""
        return read_usage(self.pid)

    def wait_port(self, port: int, timeout_s: float = 15.0) -> None:
        """Return once the process accepts connections on ``port``."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            if not self.is_running:
                raise BenchError(f"{self.name} ended at once: {self.tail()}")
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex((HOST, port)) == 0:
                    return
            if time.monotonic() > deadline_s:
                raise BenchError(f"{self.name} does not listen on {port}: {self.tail()}")
            time.sleep(0.002)

    def pause(self) -> None:
        """Freeze the process, so that it uses nothing while others are measured."""
        if self.is_running:
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        if self.is_running:
            os.kill(self.pid, signal.SIGCONT)

    def tail(self) -> str:
        """Return the last lines of its log, for messages."""
        if self.log is None or not self.log.exists():
            return "(no log)"
        return self.log.read_text(errors="replace")[-1500:].strip() or "(empty log)"

    def stop(self, grace_s: float = 5.0) -> None:
        """Stop the process: SIGTERM, then SIGKILL after ``grace_s``."""
        if self in _alive:
            _alive.remove(self)
        if self.is_running:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def stop_all() -> None:
    """Stop whatever is still running, newest first."""
    for child in list(reversed(_alive)):
        child.stop(grace_s=2.0)


@contextlib.contextmanager
def cleaned_up() -> Iterator[None]:
    """Stop all children when the block ends, by Ctrl-C or SIGTERM too."""

    def on_signal(_signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(143)

    previous = signal.signal(signal.SIGTERM, on_signal)
    atexit.register(stop_all)
    try:
        yield
    finally:
        stop_all()
        atexit.unregister(stop_all)
        signal.signal(signal.SIGTERM, previous)


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start_python(
    name: str,
    module: str,
    arguments: Sequence[str],
    core: int | None = None,
    log: Path | None = None,
) -> Child:
    """Start a module of the project with this interpreter."""
    return Child(name, [sys.executable, "-m", module, *arguments], core, log)


def first_line_port(child: Child, parse: Callable[[str], int] = int) -> int:
    """Return the port that a child prints as its first line."""
    line = child.read_line().strip()
    if not line:
        raise BenchError(f"{child.name} ended before it was ready")
    return parse(line)


def read_usage(pid: int) -> Usage:
    """Return what a process (all its threads) has used so far."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Usage(
        cpu_s=(int(stat[11]) + int(stat[12])) / CLOCK_TICKS_HZ,
        rss_bytes=int(stat[21]) * PAGE_BYTES,
    )
