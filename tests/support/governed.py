"""Start Governor as its users do, `governor run`, and ask it how it is.

Every upstream gets a loopback address of its own (127.0.0.11, 127.0.0.12 ...) as a listener, and a
route by that host; so one process governs all the servers of a test session while clients and
servers keep using the root of their own origin.

`Front` is what tests compare with a direct connection: Governor, or with VIA=forwarder in the
environment the forwarder that changes nothing, which proves the tests themselves. With WORKERS=2
Governor serves with two processes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Protocol, Self

import yaml

from tests.support.forwarder import Forwarder
from tests.support.loops import wait_until

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


class Front(Protocol):
    """Something to connect to in place of the upstream of that name."""

    urls: dict[str, str]

    def close(self) -> None:
        """Stop it."""


class Forwarders:
    """One forwarder for each upstream."""

    def __init__(self, upstreams: dict[str, str]) -> None:
        self._forwarders = {}
        for name, url in upstreams.items():
            host, _, port = url.removeprefix("http://").rpartition(":")
            self._forwarders[name] = Forwarder(host, int(port))
        self.urls = {name: forwarder.url for name, forwarder in self._forwarders.items()}

    def close(self) -> None:
        """Stop them all."""
        for forwarder in self._forwarders.values():
            forwarder.close()


class Governor:
    """A `governor run` process in front of `upstreams`; `urls` are where it listens for each."""

    def __init__(
        self,
        upstreams: dict[str, str],
        *,
        upstream: dict[str, Any] | None = None,
        route: dict[str, Any] | None = None,
        listener: dict[str, Any] | None = None,
        **config: Any,
    ) -> None:
        self._names = list(upstreams)
        self._directory = tempfile.TemporaryDirectory(prefix="governor-test-")
        hosts = {name: f"127.0.0.{11 + idx}" for idx, name in enumerate(upstreams)}
        ports = [free_port(host) for host in hosts.values()] if len(hosts) > 1 else [0]
        whole = {
            "listeners": [
                {"address": f"{host}:{port}", **(listener or {})}
                for host, port in zip(hosts.values(), ports, strict=True)
            ],
            "admin": {"address": "127.0.0.1:0"},
            "upstreams": {
                name: {"endpoints": [url], **(upstream or {})} for name, url in upstreams.items()
            },
            "routes": [
                {"match": {"host": hosts[name]}, "upstream": name, **(route or {})}
                for name in upstreams
            ],
            **config,
        }
        whole.setdefault("workers", os.environ.get("WORKERS", "1"))
        path = Path(self._directory.name) / "governor.yaml"
        path.write_text(yaml.safe_dump(whole, sort_keys=False))
        self._log = (Path(self._directory.name) / "stderr").open("w+b")
        self.process = subprocess.Popen(
            [*command(), "run", "--config", str(path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={key: value for key, value in os.environ.items() if "GOVERNOR__" not in key},
        )
        self.urls: dict[str, str] = {}
        self._fixed_urls = {
            name: f"http://{hosts[name]}:{port}"
            for name, port in zip(upstreams, ports, strict=True)
            if port
        }
        self.control_url = ""
        self._output: list[str] = []
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()
        try:
            wait_until(self._is_started, START_TIMEOUT_S, "the start of governor")
        except AssertionError:
            log = self.log()
            self.kill()
            raise AssertionError(f"governor did not start:\n{log}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process."""
        return self.process.pid

    def log(self) -> str:
        """What the process printed, standard error last."""
        self._log.flush()
        written = Path(self._log.name).read_text(errors="replace")
        return "".join(self._output) + written

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET on the control plane; (0, b"") once it is closed."""
        try:
            with urllib.request.urlopen(self.control_url + path, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def state(self) -> dict[str, Any]:
        """The state page."""
        status, body = self.get("/state")
        assert status == 200
        state: dict[str, Any] = json.loads(body)
        return state

    def require_peace(self) -> None:
        """Require that nothing is in flight any more, nothing failed, and nobody was sent away.

        Some may have waited: a service's capacity is not known when the first forty call at once.
        """
        wait_until(lambda: not self.in_flight(), what=f"the end of {self.in_flight()}")
        state = self.state()
        assert state["proxy"]["n_faults"] == 0, self.log()
        for name, upstream in state["upstreams"].items():
            ledger = upstream["ledger"]
            assert ledger["answered"] == {}, (name, self.get("/decisions?last=3")[1])
            assert ledger["faults"] == 0, (name, self.log())

    def in_flight(self) -> dict[str, int]:
        """Requests in flight or waiting, by upstream, where there are any."""
        return {
            name: upstream["in_flight"] + upstream["line"]["length"]
            for name, upstream in self.state()["upstreams"].items()
            if upstream["in_flight"] or upstream["line"]["length"]
        }

    def watch_memory(self) -> int:
        """Resident memory in bytes; `peak_memory` counts from here on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # proc(5): resets the peak
        return self._memory("VmRSS")

    def peak_memory(self) -> int:
        """The highest resident memory since `watch_memory`, in bytes."""
        return self._memory("VmHWM")

    def _memory(self, key: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{key} is not told")

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for the exit code."""
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """SIGTERM, require exit code 0, release everything."""
        try:
            if self.process.poll() is None:
                self.terminate()
            code = self.wait()
            log = self.log()
        finally:
            self.kill()
        assert code == 0, f"governor ended with {code}:\n{log}"
        assert "Traceback" not in log, log

    def kill(self) -> None:
        """End the process whatever it does, and release everything."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        self._directory.cleanup()

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._output.append(line.decode(errors="replace"))

    def _is_started(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError
        words = [line.split() for line in list(self._output)]
        found = [(line[0], line[1]) for line in words if len(line) >= 2]
        proxies = [url for word, url in found if word == "proxy"]
        controls = [url for word, url in found if word == "control"]
        if not proxies or not controls:
            return False
        self.urls = self._fixed_urls or {self._names[0]: proxies[0]}
        self.control_url = controls[0]
        return True


def free_port(host: str) -> int:
    """A port that nothing listens on at `host`, an address that nothing else uses."""
    with socket.create_server((host, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def command() -> list[str]:
    """The command that users type; GOVERNOR_COMMAND names another, such as an installed wheel's."""
    if "GOVERNOR_COMMAND" in os.environ:
        return os.environ["GOVERNOR_COMMAND"].split()
    entry_point = Path(sys.executable).with_name("governor")
    if entry_point.exists():
        return [str(entry_point)]
    return [sys.executable, "-m", "governor"]


def front(upstreams: dict[str, str]) -> Front:
    """Governor, or the forwarders where VIA=forwarder."""
    if os.environ.get("VIA") == "forwarder":
        return Forwarders(upstreams)
    return Governor(upstreams)
