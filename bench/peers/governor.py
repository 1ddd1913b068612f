"""Governor with its one default configuration, and the same only observing."""

from __future__ import annotations

from pathlib import Path

from bench.children import HOST, VENV_BIN
from bench.peers.base import Peer, first_line, which


def governor_path() -> str:
    """Return Governor's program: beside this interpreter, or on the path; empty if absent."""
    beside = VENV_BIN / "governor"
    return str(beside) if beside.exists() else which("governor")


class GovernorPeer(Peer):
    """``governor run --upstream URL``: no file, nothing tuned."""

    name = "governor"
    install = "pip install . in the project's root"
    ready_s = 120.0  # kernels are compiled at the first start after a change
    mode = "govern"

    def missing(self) -> str:
        """Return how to install it if it is absent."""
        return "" if governor_path() else f"not found ({self.install})"

    def version(self) -> str:
        """As ``governor version`` prints it."""
        return first_line([governor_path(), "version"])

    def command(self, folder: Path, port: int, upstream_port: int, admin_port: int) -> list[str]:
        """Return the command line; nothing is written."""
        return [
            governor_path(),
            "run",
            "--upstream",
            f"http://{HOST}:{upstream_port}",
            "--listen",
            f"{HOST}:{port}",
            "--admin",
            f"{HOST}:{admin_port}",
            "--mode",
            self.mode,
        ]


class GovernorObservePeer(GovernorPeer):
    """Everything computed, nothing changed."""

    name = "governor-observe"
    mode = "observe"
