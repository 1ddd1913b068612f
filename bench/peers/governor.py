"""Governor with its one default configuration, and the same only observing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from bench.children import HOST
from bench.peers.base import Peer, first_line
from bench.peers.topology import Topology

PROGRAM = (sys.executable, "-m", "governor")
"""The Governor of this folder, whatever else is installed."""


class GovernorPeer(Peer):
    """``governor run --upstream URL``; with several services a file that names them, no more."""

    name = "governor"
    install = "pip install . in the project's root"
    ready_s = 120.0  # kernels are compiled at the first start after a change
    mode = "govern"

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


class GovernorObservePeer(GovernorPeer):
    """Everything computed, nothing changed."""

    name = "governor-observe"
    mode = "observe"
