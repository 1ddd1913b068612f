"""What every peer offers: is it here, which version, start it, stop it."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from bench.children import HOST, BenchError, Child, free_port
from bench.peers.topology import Topology


class Running:
    """A started peer: where it listens, and its process (none for direct)."""

    def __init__(
        self,
        name: str,
        port: int,
        child: Child | None,
        admin_port: int = 0,
        topology: Topology | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.child = child
        self.admin_port = admin_port
        self.topology = topology
        self.further: dict[str, int] = {}
        """Ports of further upstreams by name, where the peer gives each its own."""

    @property
    def url(self) -> str:
        """Base address for load generators."""
        return f"http://{HOST}:{self.port}"

    @property
    def urls(self) -> tuple[str, ...]:
        """Where callers of the first upstream go; several without a proxy in between."""
        if self.child is None and self.topology is not None:
            return tuple(f"http://{HOST}:{port}" for port in self.topology.upstreams[0].ports)
        return (self.url,)

    def place_of(self, name: str) -> tuple[int, str]:
        """Return port and path by which the upstream of that name is called."""
        if self.child is None and self.topology is not None:
            ports = {upstream.name: upstream.ports[0] for upstream in self.topology.upstreams}
            return ports[name], f"/{name}"
        return self.further.get(name, self.port), f"/{name}"

    def cpu_s(self) -> float:
        """Processor seconds used so far; 0 for direct."""
        return self.child.usage().cpu_s if self.child is not None else 0.0

    def rss_bytes(self) -> int:
        """Resident memory; 0 for direct."""
        return self.child.usage().rss_bytes if self.child is not None else 0

    def pause(self) -> None:
        """Freeze the process; see :meth:`bench.children.Child.pause`."""
        if self.child is not None:
            self.child.pause()

    def resume(self) -> None:
        """Let it go on."""
        if self.child is not None:
            self.child.resume()

    def stop(self) -> None:
        """Stop the process and remove its configuration."""
        if self.child is not None:
            self.child.stop()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Peer(ABC):
    """A proxy that can be put in front of one upstream port."""

    name: ClassVar[str]
    """Word on the command line and in tables."""
    install: ClassVar[str] = ""
    """What to do when it is missing."""
    ready_s: ClassVar[float] = 15.0
    """How long it may take to listen."""

    def missing(self) -> str:
        """Return how to install it if it cannot run here, else an empty string."""
        return "" if self.is_here() else f"not found ({self.install})"

    @abstractmethod
    def is_here(self) -> bool:
        """Return whether the program is on this machine."""

    @abstractmethod
    def version(self) -> str:
        """Return its version as it says itself."""

    @abstractmethod
    def command(self, folder: Path, port: int, behind: Topology, admin_port: int) -> list[str]:
        """Write the configuration into ``folder`` and return the command to run."""

    def start(self, behind: int | Topology, core: int | None) -> Running:
        """Start the peer on a free port and wait until it has passed on one request.

        ``behind`` is the port of the one upstream, or all upstreams.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        port, admin_port = free_port(), free_port()
        topology = Topology.of(behind)
        command = self.command(folder, port, topology, admin_port)
        child = Child(self.name, command, core, folder / "log", folder=folder)
        running = Running(self.name, port, child, admin_port, topology)
        try:
            child.wait_port(port, self.ready_s)
            for upstream in topology.upstreams:
                for _ in upstream.ports:
                    ask_once(port, self.ready_s, f"{topology.prefix(upstream).rstrip('/')}/first")
        except BaseException:
            running.stop()
            raise
        return running


def ask_once(port: int, timeout_s: float, path: str = "/first") -> None:
    """Send one request and read its whole reply, so that nothing is measured cold."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"no answer to a first request on port {port}: {error!r}") from error
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise BenchError(f"the first request on port {port} was answered {reply.status}")


def first_line(command: list[str]) -> str:
    """Return the first non-empty line that a command prints, for version strings."""
    if not command[0]:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    lines = (line.strip() for line in (done.stdout + done.stderr).splitlines())
    return next((line for line in lines if line), "unknown")


def which(program: str) -> str:
    """Return the path of a program, looking in the usual system places too; empty if absent."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin") or ""
