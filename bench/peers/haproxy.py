"""HAProxy with one thread, and with ``maxconn`` tuned to the slots and a FIFO queue.

The queue is as long as the callers wait. Where there are several endpoints: least
connections, each with its own ``maxconn``, taken out after ten errors in a row and
put back by a health check.

``http-no-delay`` is on: without it HAProxy gathers small events of a stream for
200 ms, which its documentation leaves to the operator of interactive traffic.
"""

from __future__ import annotations

from pathlib import Path

from bench.children import HOST
from bench.peers.base import Peer, first_line, which
from bench.peers.topology import Topology, Upstream

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
  timeout queue {queue_ms}ms
  timeout http-keep-alive 600s
  option http-keep-alive
  option http-no-delay
  http-reuse always
  no log
frontend entry
  bind {host}:{port} backlog 4096
{frontend}
{backends}
"""


class HaproxyPeer(Peer):
    """One HAProxy thread."""

    name = "haproxy"
    install = "apt-get install haproxy"
    is_tuned = False

    def is_here(self) -> bool:
        """Whether the program is found."""
        return bool(which("haproxy"))

    def version(self) -> str:
        """As ``haproxy -v`` prints it."""
        return first_line([which("haproxy"), "-v"]).split(" - ")[0]

    def command(self, folder: Path, port: int, behind: Topology, admin_port: int) -> list[str]:
        """Write haproxy.cfg."""
        first, *others = behind.upstreams
        frontend = [f"  use_backend {u.name} if {{ path_beg {behind.prefix(u)} }}" for u in others]
        frontend.append(f"  default_backend {first.name}")
        config = folder / "haproxy.cfg"
        config.write_text(
            CONFIG.format(
                folder=folder,
                host=HOST,
                port=port,
                queue_ms=round(behind.patience_s * 1000),
                frontend="\n".join(frontend),
                backends="\n".join(self._backend(upstream) for upstream in behind.upstreams),
            )
        )
        return [which("haproxy"), "-db", "-f", str(config)]

    def _backend(self, upstream: Upstream) -> str:
        lines = [f"backend {upstream.name}", "  retries 0"]
        words = f" maxconn {upstream.slots}" if self.is_tuned else ""
        if len(upstream.ports) > 1:
            lines += ["  balance leastconn", "  option redispatch"]
            words += " check inter 1s observe layer7 error-limit 10 on-error mark-down"
        lines += [
            f"  server s{number} {HOST}:{port} pool-max-conn -1{words}"
            for number, port in enumerate(upstream.ports)
        ]
        return "\n".join(lines)


class HaproxyMaxconnPeer(HaproxyPeer):
    """HAProxy that sends on as many requests as there are slots and queues the rest."""

    name = "haproxy-maxconn"
    is_tuned = True
