"""HAProxy with one thread, and with ``maxconn`` tuned to the slots and a FIFO queue of 2 s.

``http-no-delay`` is on: without it HAProxy gathers small events of a stream for
200 ms, which its documentation leaves to the operator of interactive traffic.
"""

from __future__ import annotations

from pathlib import Path

from bench.children import HOST
from bench.peers.base import Peer, first_line, which

CONFIG = """
global
  nbthread 1
  maxconn 9000
  stats socket {folder}/socket
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout queue 2s
  timeout http-keep-alive 600s
  option http-keep-alive
  option http-no-delay
  http-reuse always
  no log
frontend entry
  bind {host}:{port} backlog 4096
  default_backend service
backend service
  retries 0
  server one {host}:{upstream_port} pool-max-conn -1 {server}
"""


class HaproxyPeer(Peer):
    """One HAProxy thread."""

    name = "haproxy"
    install = "apt-get install haproxy"
    server = ""

    def missing(self) -> str:
        """Return how to install it if it is absent."""
        return "" if which("haproxy") else f"not found ({self.install})"

    def version(self) -> str:
        """As ``haproxy -v`` prints it."""
        return first_line([which("haproxy"), "-v"]).split(" - ")[0]

    def command(self, folder: Path, port: int, upstream_port: int, admin_port: int) -> list[str]:
        """Write haproxy.cfg."""
        config = folder / "haproxy.cfg"
        config.write_text(
            CONFIG.format(
                folder=folder,
                host=HOST,
                port=port,
                upstream_port=upstream_port,
                server=self.server,
            )
        )
        return [which("haproxy"), "-db", "-f", str(config)]


class HaproxyMaxconnPeer(HaproxyPeer):
    """HAProxy that sends at most 32 requests on and queues the rest for 2 s."""

    name = "haproxy-maxconn"
    server = "maxconn 32"
