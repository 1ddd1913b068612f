"""What a configuration will do, in words.

*Rule of this file*: a valid configuration in, lines out. No header value is
shown: routes may match on secrets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from governor.config.durations import format_duration, format_size
from governor.config.model import Config, Listener, Match, Route, Upstream
from governor.config.policies import Policies

_LOG_WORDS = {
    "off": "No access log.",
    "touched": "Log what was delayed, answered by Governor, or failed",
    "all": "Log every request",
}


def describe(config: Config, name: str) -> Iterator[str]:
    """Yield lines that say what Governor does with ``config``, which is called ``name``."""
    yield f"{name} is valid. With it, Governor will:"
    for listener in config.listeners:
        yield f"  {_listener(listener)}"
    if config.admin.address is None:
        yield "  Have no control plane: no health checks, no metrics."
    else:
        yield f"  Show health, metrics and state on http://{config.admin.address}."
    everything = Match()
    for route in sorted(config.routes, key=lambda route: route.match == everything):
        yield f"  {_route(route, 'every request' if len(config.routes) == 1 else 'all others')}"
    for upstream_name, upstream in config.upstreams.items():
        yield from _upstream(upstream_name, upstream)
    if config.policies.mode == "observe":
        yield "  Observe only: decide and report, change nothing."
    else:
        yield (
            "  Govern: hold requests beyond what an upstream serves; send away, with a time to "
            f"come back within {format_duration(config.policies.slot_horizon_s)}, only who would "
            f"wait in vain (patience {format_duration(config.policies.patience_s)} where unknown)."
        )
    yield from _policies(config.policies)
    where = "standard error" if config.access_log.path == "-" else config.access_log.path
    words = _LOG_WORDS[config.access_log.mode]
    yield f"  {words}" if config.access_log.mode == "off" else f"  {words}, to {where}."
    if config.recorder.mode != "off":
        is_storm = config.recorder.mode == "storm"
        when = "when a storm is foreseen or when asked" if is_storm else "always"
        yield f"  Record the shape of requests, no content, {when}, to {config.recorder.file}."
    yield f"  On SIGTERM, finish what is in flight within {_d(config.drain_timeout_s)}."
    yield from (f"note: {note}" for note in notes(config))


def notes(config: Config) -> Iterator[str]:
    """Yield what is allowed but seldom meant."""
    used = {route.upstream for route in config.routes}
    used |= {upstream.fallback for upstream in config.upstreams.values() if upstream.fallback}
    for name in config.upstreams:
        if name not in used:
            yield f"upstream {name} is not used by any route."
    if not any(route.match == Match() for route in config.routes):
        yield "no route takes every request: what none takes is answered 404."
    if config.admin.parsed is not None and not _is_loopback(config.admin.parsed.host):
        yield f"the control plane on {config.admin.address} has no authentication."
    for name, upstream in config.upstreams.items():
        if not upstream.tls.verify and any(e.is_tls for e in upstream.addresses):
            yield f"upstream {name} is not verified (tls.verify is false): anybody can pose as it."


_POLICIES = (
    (
        "hold",
        "let those who come by themselves go before a crowd, which waits at most 200 ms beside a "
        "free place",
    ),
    ("contain", "keep places for brief calls where others hold theirs for long"),
)


def _policies(policies: Policies) -> Iterator[str]:
    for attribute, words in _POLICIES:
        mode = getattr(policies, attribute)
        if mode == "govern":
            yield f"  {words[0].upper()}{words[1:]}."
        elif mode == "observe":
            yield f"  Count, and no more, what it would be to {words}."
    if policies.holdback_share:
        yield (
            f"  Leave {policies.holdback_share:.1%} of the callers ungoverned, and compare how "
            "their calls end."
        )


def _listener(listener: Listener) -> str:
    kind = "TLS" if listener.tls else "plain HTTP"
    return (
        f"Listen on {listener.address} ({kind}, at most {listener.max_connections} connections, "
        f"heads up to {format_size(listener.max_head_bytes)})."
    )


def _route(route: Route, rest: str) -> str:
    match = route.match
    conditions = [
        f"{' or '.join(match.methods)}" if match.methods else "",
        f"for host {match.host}" if match.host else "",
        f"under {match.path_prefix}" if match.path_prefix != "/" else "",
        f"with header {' and '.join(match.headers)}" if match.headers else "",
    ]
    what = " ".join(filter(None, conditions))
    requests = f"Send requests ({what})" if what else f"Send {rest}"
    extra = [] if route.governed else ["never held (governed: false)"]
    if route.affinity is not None:
        extra.append(f"together by header {route.affinity}")
    if route.on_leave == "cancel":
        extra.append("cancelled when its caller leaves")
    if route.absorb_s:
        extra.append(f"refusals of up to {_d(route.absorb_s)} waited out")
    if route.coalesce:
        extra.append("identical GETs in flight share one call")
    if route.host != "auto":
        extra.append("Host preserved" if route.host == "preserve" else "Host rewritten")
    return f"{requests} to {route.upstream}{': ' if extra else ''}{', '.join(extra)}."


def _upstream(name: str, upstream: Upstream) -> Iterator[str]:
    limit = (
        "learn how many requests each endpoint serves at once"
        if upstream.limit == "auto"
        else f"have at most {upstream.limit} requests in flight per endpoint"
    )
    yield f"  Upstream {name} at {', '.join(upstream.endpoints)}:"
    yield (
        f"    {limit}; at most {upstream.max_waiting} wait, each {_d(upstream.max_wait_s)} "
        f"at the longest; abandoned work keeps its place for {_d(upstream.abandoned_timeout_s)}."
    )
    if upstream.reroute == "on" and len(upstream.endpoints) > 1:
        yield (
            "    of two endpoints take the cheaper (response time, calls in flight); leave those "
            "that fail alone for 1s to 60s; send elsewhere what could not be sent."
        )
    if upstream.fallback is not None:
        yield (
            f"    fall back to {upstream.fallback} while all of it is out of use, or its line is "
            "too long and there is room."
        )
    if upstream.acceleration is not None:
        yield f"    let demand grow by a factor of {upstream.acceleration:g} a minute at most."
    yield (
        f"    time-outs: connect {_d(upstream.connect_timeout_s)}, first byte "
        f"{_d(upstream.first_byte_timeout_s)}, silence in a response {_d(upstream.idle_timeout_s)}."
    )


def _d(seconds: float) -> str:
    return format_duration(seconds)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
