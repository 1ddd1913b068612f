"""Several services behind one peer: who is told what, and that every path arrives."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.children import HOST, cleaned_up
from bench.control import ask
from bench.peers import PEERS
from bench.peers.governor import GovernorPeer, gateway
from bench.peers.haproxy import HaproxyMaxconnPeer
from bench.peers.nginx import NginxLimitConnPeer
from bench.peers.topology import Topology, Upstream
from bench.service import server
from bench.service.spec import ServiceSpec
from governor.config.load import load

TWO = Topology((Upstream("a", (9001, 9002), 12), Upstream("b", (9003,), 5)), patience_s=7.0)
PROXIES = [name for name in PEERS if not name.startswith(("direct", "governor", "aiohttp"))]


def test_governor_is_told_addresses_and_paths_only(tmp_path: Path) -> None:
    """No capacity, no patience: what is not in the file has its default."""
    path = tmp_path / "governor.yaml"
    path.write_text(gateway(TWO))
    config = load(path)
    assert config.upstreams["a"].endpoints == ("http://127.0.0.1:9001", "http://127.0.0.1:9002")
    assert config.upstreams["a"].limit == "auto"
    assert {route.match.path_prefix: route.upstream for route in config.routes} == {
        "/": "a",
        "/b": "b",
    }
    assert not any(word in gateway(TWO) for word in ("limit", "patience", "slots", "max"))
    words = GovernorPeer().command(tmp_path, 1, Topology.of(9), 2)
    assert words[words.index("--upstream") + 1] == "http://127.0.0.1:9"


def test_the_tuned_are_told_the_slots(tmp_path: Path) -> None:
    """Nginx all slots of an upstream, HAProxy those of each server and the callers' patience."""
    NginxLimitConnPeer().command(tmp_path, 1, TWO, 2)
    nginx = (tmp_path / "nginx.conf").read_text()
    assert "limit_conn a 24;" in nginx
    assert "limit_conn b 5;" in nginx
    assert "least_conn;" in nginx
    HaproxyMaxconnPeer().command(tmp_path, 1, TWO, 2)
    haproxy = (tmp_path / "haproxy.cfg").read_text()
    assert haproxy.count("maxconn 12") == 2
    assert "timeout queue 7000ms" in haproxy


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Topology, list[int]]]:
    """Return two endpoints of one service and one of another."""
    with cleaned_up():
        children = [server.start(None, ServiceSpec(4, 0.001), 1) for _ in range(3)]
        ports = [port for _, port in children]
        yield Topology((Upstream("a", tuple(ports[:2]), 4), Upstream("b", (ports[2],), 4))), ports
        for child, _ in children:
            child.stop()


@pytest.mark.parametrize("name", PROXIES)
def test_every_path_arrives_at_its_service(name: str, behind: tuple[Topology, list[int]]) -> None:
    """Paths below /b go to b, all others to both endpoints of a."""
    topology, ports = behind
    peer = PEERS[name]()
    if peer.missing():
        pytest.skip(peer.missing())
    before = [ask(port, "/-/stats")["arrived"] for port in ports]
    with peer.start(topology, None) as running:
        port, path = running.place_of("b")
        for target, url in [(running.port, "/tool")] * 8 + [(port, f"{path}/x")] * 4:
            connection = http.client.HTTPConnection(HOST, target, timeout=10)
            connection.request("GET", url)
            assert connection.getresponse().status == 200
            connection.close()
    after = [ask(port, "/-/stats")["arrived"] for port in ports]
    came = [late - early for late, early in zip(after, before, strict=True)]
    assert came[0] + came[1] >= 8
    assert min(came[:2]) >= 1
    assert came[2] >= 4
