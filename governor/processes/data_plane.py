"""The data plane as the configuration says: routes and pools before gates, wherever those are.

*Rule of this file*: construction, the same for the only process and for each of several workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from governor.config.model import Config
from governor.control import AccessLogWriter, RequestTally
from governor.control.telemetry import Telemetry
from governor.proxy.marks import LEVELS
from governor.proxy.pool import EndpointPool
from governor.proxy.router import Route, Router
from governor.proxy.server import ArrivalBuilder, FaultHook, ProxyServer
from governor.proxy.stats import DoneHook, ProxyStats, RequestRecord, SampleHook
from governor.resolved import switches_of, terms_of

Pools = dict[str, tuple[EndpointPool, ...]]


def make_pools(config: Config, stats: ProxyStats) -> Pools:
    """Return each upstream's pools, one per endpoint in the gate's order."""
    return {
        name: tuple(EndpointPool(x, upstream, stats) for x in upstream.addresses)
        for name, upstream in config.upstreams.items()
    }


def make_server(
    config: Config,
    gates: Mapping[str, Any],
    pools: Pools,
    stats: ProxyStats,
    tally: RequestTally,
    read: ArrivalBuilder,
    on_done: DoneHook | None,
    sample: SampleHook | None,
    on_fault: FaultHook,
) -> ProxyServer:
    """Return what listens, with its routes.

    Parameters
    ----------
    gates : mapping
        By upstream: a gate, or what asks one in another process.
    """
    routes = []
    for route in config.routes:
        name = (route.match.host or "") + route.match.path_prefix
        routes.append(
            Route(
                route,
                gates[route.upstream],
                pools[route.upstream],
                name,
                tally.for_route(route.upstream, name).count,
                pools,
                terms_of(config.policies, route.policies),
                switches_of(config.policies, route.policies),
            )
        )
    proxy = ProxyServer(
        config.listeners,
        Router(routes),
        stats,
        read,
        [pool for found in pools.values() for pool in found],
        on_done=on_done,
        logs_touched_only=config.access_log.mode != "all",
        sample=sample,
        on_fault=on_fault,
        tells_quota=config.policies.ratelimit_headers,
    )
    proxy.marks = LEVELS[config.decision_headers]
    return proxy


def done_hook(
    config: Config, access_log: AccessLogWriter, telemetry: Telemetry | None
) -> DoneHook | None:
    """Return who is told of finished requests: the access log, the tracer, both or nobody."""
    log = None if config.access_log.mode == "off" else access_log.observe
    if telemetry is None or telemetry.sample is None:
        return log
    trace = telemetry.observe
    if log is None:
        return trace

    def both(record: RequestRecord) -> None:
        trace(record)
        log(record)

    return both
