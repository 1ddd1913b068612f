"""Governor with its one default configuration, and the same only observing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from bench.children import HOST, read_usage
from bench.peers.base import Peer, Running, first_line
from bench.peers.topology import Topology

PROGRAM = (sys.executable, "-m", "governor")
"""The Governor of this folder, whatever else is installed."""


class GovernorPeer(Peer):
    """``governor run --upstream URL``; with several services a file that names them, no more."""

    name = "governor"
    install = "pip install . in the project's root"
    ready_s = 120.0  # kernels are compiled at the first start after a change
    mode = "govern"
    n_workers = 1

    def is_here(self) -> bool:
        """Whether the package is found."""
        return importlib.util.find_spec("governor") is not None

    def version(self) -> str:
        """As ``governor version`` prints it."""
        return first_line([*PROGRAM, "version"])

    def command(self, folder: Path, port: int, behind: Topology, admin_port: int) -> list[str]:
        """Return the command line; a file is written only where one URL does not say it all."""
        command = [*PROGRAM, "run"]
        if behind.is_plain:
            command += ["--upstream", f"http://{HOST}:{behind.upstreams[0].ports[0]}"]
        else:
            config = folder / "governor.yaml"
            config.write_text(gateway(behind))
            command += ["--config", str(config)]
        command += ["--listen", f"{HOST}:{port}", "--admin", f"{HOST}:{admin_port}"]
        if self.n_workers > 1:
            command += ["--workers", str(self.n_workers)]
        return [*command, "--mode", self.mode]


def gateway(behind: Topology) -> str:
    """Return a configuration that says which services there are and nothing else."""
    lines = ["upstreams:"]
    for upstream in behind.upstreams:
        urls = ", ".join(f"'http://{HOST}:{port}'" for port in upstream.ports)
        lines += [f"  {upstream.name}:", f"    endpoints: [{urls}]"]
    lines.append("routes:")
    for upstream in behind.upstreams:
        lines.append(f"  - match: {{path_prefix: {behind.prefix(upstream)}}}")
        lines.append(f"    upstream: {upstream.name}")
    return "\n".join(lines) + "\n"


class RunningProcesses(Running):
    """Several processes of one Governor: what they use is added up."""

    def pids(self) -> list[int]:
        """Return the parent and its children."""
        assert self.child is not None
        pid = self.child.pid
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, words)]

    def cpu_s(self) -> float:
        """Processor seconds used so far."""
        return sum(read_usage(pid).cpu_s for pid in self.pids())

    def rss_bytes(self) -> int:
        """Resident memory; what the processes share counts for each."""
        return sum(read_usage(pid).rss_bytes for pid in self.pids())

    def pause(self) -> None:
        """Leave them: idle they use a third of a percent, and frozen they would miss each other."""

    def resume(self) -> None:
        """They were never frozen."""


class TwoWorkersPeer(GovernorPeer):
    """Two processes that serve, and one that decides for both."""

    name = "governor-2"
    n_workers = 2

    def start(self, behind: int | Topology, core: int | None) -> Running:
        """Start all of them, on the same core."""
        it = super().start(behind, core)
        return RunningProcesses(it.name, it.port, it.child, it.admin_port, it.topology)


class FourWorkersPeer(TwoWorkersPeer):
    """Four processes that serve, and one that decides for all."""

    name = "governor-4"
    n_workers = 4


class GovernorObservePeer(GovernorPeer):
    """Everything computed, nothing changed."""

    name = "governor-observe"
    mode = "observe"
