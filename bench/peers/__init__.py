"""The proxies that are measured, one file each.

*Rule of this package*: one worker on one core, keep-alive to the upstream,
access logs off, nothing else tuned unless the file says why.
"""

from __future__ import annotations

from bench.peers.aiohttp_plain import AiohttpPeer
from bench.peers.base import Peer, Running
from bench.peers.direct import DirectPeer
from bench.peers.envoy import (
    EnvoyAdaptivePeer,
    EnvoyAdmissionPeer,
    EnvoyBreakerPeer,
    EnvoyPeer,
)
from bench.peers.governor import (
    FourWorkersPeer,
    GovernorObservePeer,
    GovernorPeer,
    TwoWorkersPeer,
)
from bench.peers.haproxy import HaproxyMaxconnPeer, HaproxyPeer
from bench.peers.nginx import NginxLimitConnPeer, NginxPeer

PEERS: dict[str, type[Peer]] = {
    peer.name: peer
    for peer in (
        DirectPeer,
        NginxPeer,
        NginxLimitConnPeer,
        HaproxyPeer,
        HaproxyMaxconnPeer,
        EnvoyPeer,
        EnvoyAdaptivePeer,
        EnvoyAdmissionPeer,
        EnvoyBreakerPeer,
        AiohttpPeer,
        GovernorPeer,
        TwoWorkersPeer,
        FourWorkersPeer,
        GovernorObservePeer,
    )
}
"""All peers by the name used on the command line."""

__all__ = ["PEERS", "Peer", "Running", "select"]


def select(names: str) -> list[Peer]:
    """Return the named peers (comma-separated) that can run; say why the others cannot."""
    chosen: list[Peer] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name not in PEERS:
            raise SystemExit(f"unknown peer {name!r}: choose from {', '.join(PEERS)}")
        peer = PEERS[name]()
        reason = peer.missing()
        if reason:
            print(f"- {name} is left out: {reason}", flush=True)
        else:
            chosen.append(peer)
    if not chosen:
        raise SystemExit("no peer is left to measure")
    return chosen
