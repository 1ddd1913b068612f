"""``python -m bench footprint``: memory idle and per connection, start to first request, idle CPU.

Memory is the resident size of the whole process. Connections are opened by a
client that sends one request on each and keeps it open; the upstream's idle
connections are few, so what grows is the caller's side. Start is from the
launch of the process to the complete reply of a first request, in the best
state of all caches (one start beforehand); the client asks again every 2 ms.
What upstreams cost that nobody calls is governor's alone: :mod:`bench.idle`.
"""

from __future__ import annotations

import argparse
import socket
import time
from statistics import median
from typing import Any

from bench.children import HOST, BenchError
from bench.idle import measure_idle
from bench.origin import start_uvloop_origin
from bench.peers import Peer, Running, select
from bench.report import save, table

PROXY_CORE, LOAD_CORE = 0, 1
REQUEST = b"GET /tool HTTP/1.1\r\nHost: bench\r\n\r\n"
DEFAULT_PEERS = "nginx,haproxy,envoy,aiohttp,governor"
SETTLE_S = 0.5


def ask(connection: socket.socket) -> None:
    """Send one request and read until its reply's end."""
    connection.sendall(REQUEST)
    seen = b""
    while not seen.endswith(b"}\n"):
        data = connection.recv(65_536)
        if not data:
            raise BenchError("the proxy closed the connection")
        seen += data


def first_request_s(peer: Peer, upstream_port: int) -> float:
    """Return the time from launch to the first complete reply."""
    began_s = time.monotonic()
    with peer.start(upstream_port, PROXY_CORE) as running:
        while True:
            try:
                with socket.create_connection((HOST, running.port), timeout=5) as connection:
                    ask(connection)
                return time.monotonic() - began_s
            except (OSError, BenchError):
                if time.monotonic() - began_s > 20.0:
                    raise
                time.sleep(0.002)


def connections_bytes(running: Running, n_connections: int) -> tuple[int, float, float]:
    """Return the idle size, bytes per idle open connection, and bytes per one that was used."""
    time.sleep(SETTLE_S)
    with socket.create_connection((HOST, running.port), timeout=5) as connection:
        ask(connection)
    time.sleep(SETTLE_S)
    idle_bytes = running.rss_bytes()
    opened: list[socket.socket] = []
    try:
        for _ in range(n_connections):
            opened.append(socket.create_connection((HOST, running.port), timeout=5))
        time.sleep(SETTLE_S)
        open_bytes = running.rss_bytes()
        for connection in opened:
            ask(connection)
        time.sleep(SETTLE_S)
        used_bytes = running.rss_bytes()
    finally:
        for connection in opened:
            connection.close()
    return (
        idle_bytes,
        (open_bytes - idle_bytes) / n_connections,
        (used_bytes - idle_bytes) / n_connections,
    )


def measure(peer: Peer, upstream_port: int, starts: int, n_connections: int) -> dict[str, Any]:
    """Return all numbers of one peer."""
    first_request_s(peer, upstream_port)
    seen_s = [first_request_s(peer, upstream_port) for _ in range(starts)]
    with peer.start(upstream_port, PROXY_CORE) as running:
        idle_bytes, open_bytes, used_bytes = connections_bytes(running, n_connections)
    return {
        "start_s": median(seen_s),
        "start_worst_s": max(seen_s),
        "idle_bytes": idle_bytes,
        "open_connection_bytes": open_bytes,
        "used_connection_bytes": used_bytes,
    }


def main(argv: list[str]) -> int:
    """Run the measurement."""
    parser = argparse.ArgumentParser(prog="bench footprint", description=__doc__)
    parser.add_argument("--peers", default=DEFAULT_PEERS, help="none: idle CPU alone")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--connections", type=int, default=4000)
    parser.add_argument("--idle-rounds", type=int, default=7, help="0: leave idle CPU out")
    options = parser.parse_args(argv)
    peers = select(options.peers) if options.peers != "none" else []
    n_connections = min(options.connections, 8_000)
    print(f"footprint: {options.starts} starts and {n_connections:,} connections each, about 1 min")
    origin, port = start_uvloop_origin(LOAD_CORE)
    seen: dict[str, dict[str, Any]] = {}
    for peer in peers:
        try:
            seen[peer.name] = measure(peer, port, options.starts, n_connections)
        except (BenchError, OSError) as error:
            print(f"- {peer.name} is left out: {error}", flush=True)
            continue
        print(f"  {peer.name}: {seen[peer.name]}", flush=True)
    origin.stop()
    rows = [
        [
            name,
            f"{got['start_s']:.2f} ({got['start_worst_s']:.2f})",
            f"{got['idle_bytes'] / 1e6:.0f}",
            f"{got['open_connection_bytes'] / 1e3:.1f}",
            f"{got['used_connection_bytes'] / 1e3:.1f}",
        ]
        for name, got in seen.items()
    ]
    head = ["", "start to first reply s (worst)", "idle MB", "KB per open connection"]
    head += ["KB per connection after a request"]
    texts = [table(head, rows)] if peers else []
    found: dict[str, Any] = {"peers": seen}
    if options.idle_rounds > 0:
        shares = measure_idle(options.idle_rounds)
        cells = [[name, f"{100.0 * share:.1f} %"] for name, share in shares.items()]
        texts.append(table(["upstreams", "of a core"], cells))
        found["idle_share"] = shares
    name = "footprint" if peers else "footprint-idle"
    save(name, " ".join(["footprint", *argv]), "\n\n".join(texts), found)
    return 0
