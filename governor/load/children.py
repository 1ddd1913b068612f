"""Child processes of a storm: started, read line by line, always ended.

*Rule of this file*: a process is only ever ended by the id that was returned when
it was started. Children read the end of their standard input as their parent's
end, or are started by :mod:`governor.load.tied`. What they complain of goes to a
file: a pipe that nobody reads would stop them when it is full.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import governor
from governor.config.load import ENV_PREFIX

STOP_S = 5.0


class ChildError(Exception):
    """A child did not do its part; the message says which and what it said."""


class Child:
    """One process that runs a module of ours.

    Parameters
    ----------
    name : str
        For messages.
    module : str
    words : sequence of str
        Its arguments.
    """

    def __init__(self, name: str, module: str, words: Sequence[str]) -> None:
        root = str(Path(governor.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        env = {
            variable: value
            for variable, value in os.environ.items()
            if not variable.upper().startswith(ENV_PREFIX)
        }
        env |= {"PYTHONPATH": path, f"{ENV_PREFIX}access_log__mode": "off"}
        self.name = name
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed in stop
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=env,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is the parent's: it ends its children in order
        )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def line(self, timeout_s: float) -> str:
        """Return the next line of its output.

        Raises
        ------
        ChildError
            If it ends or stays silent instead.
        """
        assert self._process.stdout is not None
        parts = bytearray()
        until_s = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not parts.endswith(b"\n"):
                if not selector.select(max(0.0, until_s - time.monotonic())):
                    raise ChildError(f"{self.name} said nothing for {timeout_s:.0f} s")
                byte = self._process.stdout.readline()
                if not byte:
                    raise ChildError(f"{self.name} ended: {self.complaint() or 'without a word'}")
                parts += byte
        return parts.decode().rstrip("\n")

    def lines(self, timeout_s: float) -> Iterator[str]:
        """Yield lines until it ends its output.

        Raises
        ------
        ChildError
            If it stays silent for ``timeout_s``.
        """
        while True:
            try:
                yield self.line(timeout_s)
            except ChildError:
                if self.wait(1.0) is None:
                    raise
                return

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")

    def end_input(self) -> None:
        """Close its standard input: it comes to its end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self, timeout_s: float) -> int | None:
        """Return its exit code; None if it has not ended in time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def complaint(self) -> str:
        """Return the end of what it wrote to standard error, once it has ended."""
        if self.wait(1.0) is None:
            return ""
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace").strip()[-500:]

    def stop(self, *, with_signal: bool = False) -> None:
        """End it; returns when it is gone."""
        self.end_input()
        if with_signal and self._process.poll() is None:
            self._process.terminate()
        if self.wait(STOP_S) is None:
            self._process.kill()
            self._process.wait()
        self._complaints.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
