"""What a configuration will do, in words.

*Rule of this file*: a valid configuration in, lines out. No header value is
shown: routes may match on secrets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from governor.config.agents import Agent, Envelope, format_rate
from governor.config.durations import format_duration, format_size
from governor.config.model import Config, Listener, Match, Route, Upstream
from governor.config.policies import Policies, RoutePolicies

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
    if config.workers != 1:
        n = "as many" if config.workers == "auto" else str(config.workers)
        cores = " as there are cores" if config.workers == "auto" else ""
        yield f"  Serve with {n} processes{cores}, and one more that decides for all of them."
    if config.admin.address is None:
        yield "  Have no control plane: no health checks, no metrics."
    else:
        yield f"  Show health, metrics and state on http://{config.admin.address}."
    everything = Match()
    for route in sorted(config.routes, key=lambda route: route.match == everything):
        yield f"  {_route(route, 'every request' if len(config.routes) == 1 else 'all others')}"
    for upstream_name, upstream in config.upstreams.items():
        yield from _upstream(upstream_name, upstream, config.policies)
    if config.policies.mode == "observe":
        yield "  Observe only: decide and report, change nothing."
    elif config.policies.limit != "govern":
        yield "  Govern, but let no request wait for a place: upstreams get whatever comes."
    else:
        yield (
            "  Govern: hold requests beyond what an upstream serves; send away, with a time to "
            f"come back within {format_duration(config.policies.slot_horizon_s)}, only who would "
            f"wait in vain (patience {format_duration(config.policies.patience_s)} where unknown)."
        )
    yield from _policies(config.policies)
    yield from _agents(config)
    where = "standard error" if config.access_log.path == "-" else config.access_log.path
    words = _LOG_WORDS[config.access_log.mode]
    yield f"  {words}" if config.access_log.mode == "off" else f"  {words}, to {where}."
    if config.recorder.mode != "off":
        is_storm = config.recorder.mode == "storm"
        when = "when a storm is foreseen or when asked" if is_storm else "always"
        yield f"  Record the shape of requests, no content, {when}, to {config.recorder.file}."
    if config.fleet is not None:
        yield (
            f"  Share limits, places and slots with the other governors of fleet "
            f"{config.fleet.name}, through {config.fleet.shown_url}; alone while it is gone."
        )
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
        reads = " for reading" if config.admin.token is not None else ""
        yield f"the control plane on {config.admin.address} has no authentication{reads}."
    envelopes = [*config.agents, config.agents_default, config.agents_learned]
    is_acting = any(x is not None and x.on_deviation != "event" for x in envelopes)
    if is_acting and config.admin.token is None:
        yield "agents can be held or quarantined, and without admin.token nobody can release them."
    for route in config.routes:
        yield from _note_idle_terms(config, route)
    for name, upstream in config.upstreams.items():
        if not upstream.tls.verify and any(e.is_tls for e in upstream.addresses):
            yield f"upstream {name} is not verified (tls.verify is false): anybody can pose as it."


_DOES = (
    (
        "hold",
        "let those who come by themselves go before a crowd, which waits at most 200 ms beside "
        "a free place",
        True,
    ),
    ("contain", "keep places for brief calls where others hold theirs for long", True),
    (
        "contain",
        "hold calls of one path and method, of which none is answered while others are, to the "
        "places that they usually take",
        True,
    ),
    (
        "contain",
        "send away what still waits on behalf of a request whose caller has left for good",
        True,
    ),
    ("limit", "let requests wait that are more than an endpoint serves at once", False),
    (
        "limit",
        "let requests wait that are more a second than an upstream is found to accept by the "
        "429s and 503s that it answers",
        True,
    ),
    (
        "slots",
        "give each caller that an upstream refuses in a storm its own time to come back",
        True,
    ),
    ("absorb", "wait refusals out where a route says so", False),
    ("coalesce", "let identical requests share a call where a route says so", False),
    (
        "reroute",
        "choose the cheaper endpoint, send elsewhere what one has failed, and fall back",
        False,
    ),
    ("acceleration", "let demand grow no faster than an upstream's acceleration", False),
)
"""What each policy does, after "Governor will", and whether that is said here where it governs:
if not, the lines of the upstreams and routes that it concerns say it."""

_POLICIES = tuple(dict.fromkeys(policy for policy, _, _ in _DOES))


def _policies(policies: Policies) -> Iterator[str]:
    for policy, words, is_said in _DOES:
        state = getattr(policies, policy)
        if state == "observe":
            yield f"  Count, and no more, what it would be to {words}."
        elif state == "off":
            yield f"  Never {words}."
        elif is_said and policies.mode != "observe":
            yield f"  {words[0].upper()}{words[1:]}."
    if policies.holdback_share:
        yield (
            f"  Leave {policies.holdback_share:.1%} of the callers ungoverned, and compare how "
            "their calls end."
        )


_ACTS = {
    "event": "else tell of it",
    "hold": "else hold it to its calls in flight until a person releases it",
    "quarantine": "else answer it 403 until a person releases it",
}


def _agents(config: Config) -> Iterator[str]:
    """Yield who may do what."""
    for agent in config.agents:
        yield f"  Allow agent {agent.name} ({_whose(agent)}) {_envelope(agent)}."
    if config.agents_default is not None:
        rest = "every other agent" if config.agents else "every agent"
        yield f"  Allow {rest} {_envelope(config.agents_default)}."
    learned = config.agents_learned
    if learned is not None:
        yield (
            f"  Allow any agent without such limits {learned.margin:g} times what it has done "
            f"before, once known for {_d(learned.after_s)}; {_ACTS[learned.on_deviation]}."
        )
    if config.admin.audit_file is not None:
        yield f"  Append who held, quarantined or released whom to {config.admin.audit_file}."


def _whose(agent: Agent) -> str:
    match = agent.match
    conditions = [
        f"named in {match.header}" if match.header else "",
        "by its credential" if match.credential else "",
    ]
    return " and ".join(filter(None, conditions))


def _envelope(envelope: Envelope) -> str:
    limits = [
        f"{envelope.in_flight} calls in flight" if envelope.in_flight is not None else "",
        f"{format_rate(envelope.rate)}" if envelope.rate is not None else "",
        f"a fan-out of {envelope.fan_out}" if envelope.fan_out is not None else "",
        f"{envelope.retries:.0%} of retries" if envelope.retries is not None else "",
        f"upstreams {', '.join(envelope.upstreams)} only" if envelope.upstreams is not None else "",
    ]
    words = ", ".join(filter(None, limits))
    return f"{words}; {_ACTS[envelope.on_deviation]}" if words else "anything"


_STATE_WORDS = {"govern": "governs", "observe": "is only counted", "off": "is off"}


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
    extra += _own_policies(route.policies)
    if route.host != "auto":
        extra.append("Host preserved" if route.host == "preserve" else "Host rewritten")
    return f"{requests} to {route.upstream}{': ' if extra else ''}{', '.join(extra)}."


def _own_policies(own: RoutePolicies) -> Iterator[str]:
    """Yield what a route lays down for itself."""
    for attribute in _POLICIES:
        state = getattr(own, attribute, None)
        if state is not None:
            yield f"{attribute} {_STATE_WORDS[state]} here"
    if own.max_wait_s is not None:
        yield f"a wait of {_d(own.max_wait_s)} at the longest"
    if own.patience_s is not None:
        yield f"patience of {_d(own.patience_s)} where its caller does not say"
    if own.urgency is not None:
        yield f"urgency {own.urgency}"


def _upstream(name: str, upstream: Upstream, policies: Policies) -> Iterator[str]:
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
    is_rerouting = upstream.reroute == "on" and policies.reroute == "govern"
    if is_rerouting and len(upstream.endpoints) > 1:
        yield (
            "    of two endpoints take the cheaper (response time, calls in flight); leave those "
            "that fail alone for 1s to 60s; send elsewhere what could not be sent."
        )
    if upstream.fallback is not None and is_rerouting:
        yield (
            f"    fall back to {upstream.fallback} while all of it is out of use; and, where there "
            "is room, when a storm is foretold and no place is left, or the line is too long."
        )
    if upstream.acceleration is not None and policies.acceleration == "govern":
        yield f"    let demand grow by a factor of {upstream.acceleration:g} a minute at most."
    yield (
        f"    time-outs: connect {_d(upstream.connect_timeout_s)}, first byte "
        f"{_d(upstream.first_byte_timeout_s)}, silence in a response {_d(upstream.idle_timeout_s)}."
    )


def _d(seconds: float) -> str:
    return format_duration(seconds)


def _note_idle_terms(config: Config, route: Route) -> Iterator[str]:
    """Yield what a route says that cannot come to anything."""
    own = route.policies
    where = f"the route for {route.match.host or ''}{route.match.path_prefix}"
    patience_s = config.policies.patience_s if own.patience_s is None else own.patience_s
    if own.max_wait_s is not None and own.max_wait_s > patience_s:
        yield (
            f"{where} allows a wait of {_d(own.max_wait_s)}, and callers that do not say are taken "
            f"to wait {_d(patience_s)}: its policies.patience may be meant too."
        )
    for attribute, is_asked in (("absorb", route.absorb_s > 0), ("coalesce", route.coalesce)):
        if getattr(own, attribute) is not None and not is_asked:
            yield f"{where} switches {attribute}, which it does not ask for."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
