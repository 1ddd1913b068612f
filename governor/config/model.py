"""What may be configured: frozen values, checked whole.

*Rule of this file*: values and their bounds only; no files, no environment, no
sockets. In YAML a key carries no unit and its value does (``connect_timeout: 5s``);
the attribute says the unit (``connect_timeout_s``, float seconds). The text
under each field is its reference: meaning, unit, range, default and why; it is
also the description in ``governor schema``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from governor.config.agents import Agent, Envelope, LearnedEnvelopes, Token
from governor.config.conflicts import dotted, find_conflicts
from governor.config.durations import Address, EndpointAddress, parse_address, parse_endpoint
from governor.config.fields import (
    Bytes,
    EndpointUrl,
    HeaderName,
    Host,
    Limit,
    ListenAddress,
    Method,
    Name,
    OptionalAddress,
    PathPrefix,
    Seconds,
    SecondsOrOff,
    Workers,
)
from governor.config.fleet import Fleet
from governor.config.policies import Mode, Policies, RoutePolicies
from governor.config.section import Section

HostHeader = Literal["auto", "preserve", "rewrite"]
OnLeave = Literal["keep", "cancel"]
AccessLogMode = Literal["off", "touched", "all"]
DecisionHeaders = Literal["off", "touched", "all"]
RecorderMode = Literal["off", "storm", "continuous"]

DEFAULT_LISTEN = "127.0.0.1:8080"
DEFAULT_ADMIN = "127.0.0.1:9090"


class ListenerTls(Section):
    """The certificate that a listener shows to callers."""

    certificate: str
    """Path of a PEM file with the certificate chain, leaf first."""
    key: str
    """Path of a PEM file with the private key."""


class Listener(Section):
    """An address where callers connect, and what one connection may cost."""

    address: ListenAddress = DEFAULT_LISTEN
    """HOST:PORT; port 0 picks a free one. Default 127.0.0.1:8080: nothing is exposed by
    accident."""
    tls: ListenerTls | None = None
    """Serve TLS with this certificate. Default: plain HTTP, as a sidecar on loopback needs no
    more."""
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Open connections at once, 1 to 1000000; further ones are answered 503 and closed. Default
    10000, about 40 MB."""
    max_head_bytes: Annotated[Bytes, Field(ge=1_024, le=1 << 20)] = 65_536
    """Request line and headers together, 1KiB to 1MiB; above it 431. Default 64KiB, as generous
    as Envoy's 60KiB."""
    head_timeout_s: Seconds = 10.0
    """From a request's first byte until its head is whole; then 408. Default 10s: slow heads
    are an attack."""
    body_timeout_s: Seconds = 30.0
    """Between two bytes of a request body; then 408. Default 30s, half of nginx's 60s."""
    idle_timeout_s: Seconds = 75.0
    """A connection without a request is closed after this. Default 75s, as nginx's
    keepalive_timeout."""
    write_timeout_s: Seconds = 60.0
    """A caller that reads nothing of its response is cut off after this. Default 60s, as
    nginx's send_timeout."""

    @property
    def parsed(self) -> Address:
        """Host and port."""
        return parse_address(self.address)


class Admin(Section):
    """The control plane: health, metrics, state, decisions."""

    address: OptionalAddress = DEFAULT_ADMIN
    """HOST:PORT, or off for none. Default 127.0.0.1:9090: loopback, for it has no
    authentication."""
    hosts: tuple[Host, ...] = ()
    """Names by which it may be asked for, beside its address and localhost, as in a cluster.
    Default none: a name that a web page brings is refused."""
    token: Token | None = None
    """What a request must bear to act on an agent (hold, quarantine, release), at least 16
    characters, as ${NAME} from the environment. Default none: nobody can. The dashboard's switches
    ask for none; they work on loopback only."""
    audit_file: str | None = None
    """File that every act on an agent is appended to, one JSON line each. Default none: the log
    alone."""

    @property
    def parsed(self) -> Address | None:
        """Host and port, or None where there is no control plane."""
        return parse_address(self.address) if self.address is not None else None


class UpstreamTls(Section):
    """How https endpoints are verified."""

    verify: bool = True
    """Check certificate and name. Default true; false is for tests on one machine only."""
    ca_file: str | None = None
    """Path of a PEM file with the authorities to trust. Default: the system's."""
    server_name: str | None = None
    """Name to ask for and to verify. Default: the endpoint's host."""


class Upstream(Section):
    """One service and the addresses where it is served."""

    endpoints: Annotated[tuple[EndpointUrl, ...], Field(min_length=1)]
    """http:// or https:// URLs of the same service, at least one, each ending after the
    port."""
    connect_timeout_s: Seconds = 5.0
    """To open a connection (with TLS); then the next endpoint is tried or the caller gets 504.
    Default 5s, as Envoy."""
    first_byte_timeout_s: Seconds = 600.0
    """From the whole request sent until the response's first byte; then 504. Default 10m, as
    the LLM SDKs wait."""
    idle_timeout_s: Seconds = 300.0
    """Between two bytes of a response, not for event streams and tunnels; then cut off. Default
    5m, as Envoy."""
    keepalive_timeout_s: Seconds = 15.0
    """An idle upstream connection is closed after this. Default 15s: less than the common
    servers' own."""
    max_idle_connections: Annotated[int, Field(ge=0, le=100_000)] = 512
    """Idle connections kept per endpoint, 0 to 100000. Default 512: a fleet's burst finds them
    open."""
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 4_096
    """Connections per endpoint, tunnels included, 1 to 100000. Default 4096: far below the
    ports of one address."""
    limit: Limit = "auto"
    """Requests in flight per endpoint: auto learns it from the traffic; a number fixes it.
    Default auto."""
    reroute: Literal["on", "off"] = "on"
    """on: of two endpoints drawn the cheaper one takes a request; those that fail are left alone
    for 1s to 60s and come back by a ramp; a request that an endpoint failed before the first byte
    of its answer goes to another one, if nothing of it was sent or its method may be repeated.
    off: the endpoint with the most room, once. Default on."""
    fallback: Name | None = None
    """Name of the upstream that gets a request, with all its headers, when every endpoint of this
    one is out of use, or when it would be sent away from a line that is too long while the fallback
    has room. Default none."""
    max_wait_s: Seconds = 30.0
    """Longest wait for a place, whatever the caller's patience. Default 30s: most clients'
    shortest time-out."""
    max_waiting: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """Requests that may wait at once, 0 to 1000000; further ones are invited back later.
    Default 10000."""
    abandoned_timeout_s: Seconds = 60.0
    """How long work whose caller has left keeps its place while the upstream does not answer.
    Default 60s."""
    acceleration: Annotated[float, Field(gt=1.0, le=1_000.0)] | None = None
    """Factor per minute by which the rate of calls may grow, above 1 to 1000, for providers that
    throttle steep demand. Default none: nothing in the traffic tells such a limit before it is
    broken."""
    tls: UpstreamTls = UpstreamTls()
    """How https endpoints are verified. Default: by the system's authorities."""

    @property
    def addresses(self) -> tuple[EndpointAddress, ...]:
        """The endpoints, taken apart, in the order given."""
        return tuple(parse_endpoint(url) for url in self.endpoints)


class Match(Section):
    """Which requests a route takes: all conditions must hold; none given means all requests."""

    host: Host | None = None
    """Host that the caller asks for, without port, or *.example.com for all hosts below.
    Default: every host."""
    path_prefix: PathPrefix = "/"
    """Beginning of the path; ends at a path segment (/v1 takes /v1/x, not /v10). Default /:
    every path."""
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    """Header names with the exact value that each must have. Default: none."""
    methods: tuple[Method, ...] = ()
    """Methods to take. Default: every method."""


class Route(Section):
    """Sends the requests that match to an upstream.

    The most specific route takes a request, in whatever order they are written: by host,
    then by the longer path prefix, then by the number of other conditions.
    """

    match: Match = Match()
    """Which requests. Default: all."""
    upstream: Name
    """Name of one of the upstreams."""
    host: HostHeader = "auto"
    """Host sent upstream: preserve the caller's, rewrite to the endpoint's, or auto: rewrite
    for https only. Default auto: names of https endpoints are checked against it."""
    on_leave: OnLeave = "keep"
    """When a caller leaves: keep its place until the upstream answers, or cancel the call.
    Default keep: most services work on, and a place is free only when the work is done."""
    affinity: HeaderName | None = None
    """Name of a header: requests with the same value go to the same endpoint while that is in use
    and has room. Default none: every request goes where it is cheapest."""
    governed: bool = True
    """False exempts the route: its requests are counted, never held and never sent away.
    Default true."""
    absorb_s: SecondsOrOff = 0.0
    """Wait out a 429 or 503 whose Retry-After is no longer than this, and send the request
    again; off, or up to 60s. At most three times, within the caller's patience, for bodies up to
    64KiB. Default off: who calls may know better what to do meanwhile."""
    coalesce: bool = False
    """Identical GET and HEAD requests that are in flight at the same time share one call.
    Identical are all headers that go upstream, credentials included, but for ids of tracing and
    retries; Vary and Set-Cookie are heeded. Default false: only the service knows whether two
    equal questions may have one answer."""
    policies: RoutePolicies = RoutePolicies()
    """What this route's requests are met with instead of what the file's policies say. Default:
    nothing else."""


class AccessLog(Section):
    """One JSON line per request. Never bodies, query strings or credentials."""

    mode: AccessLogMode = "touched"
    """off; touched: what was delayed, answered by Governor, or failed; all. Default touched:
    quiet when all is well."""
    path: str = "-"
    """File to append to, or - for standard error. Default -."""


class Recorder(Section):
    """The flight recorder: the shape of the last minutes, without content."""

    mode: RecorderMode = "off"
    """off; storm: kept in memory, written when a storm is foreseen or when asked (SIGUSR1,
    governor record); continuous: written every second. Default off: a file is never written
    unasked."""
    file: str = "governor.rec"
    """Where it is written; the file before is kept beside it as FILE.1. Default governor.rec."""
    memory_bytes: Annotated[Bytes, Field(ge=1 << 20, le=1 << 30)] = 32 << 20
    """Of the last records, 1MiB to 1GiB; a request takes about 200 bytes. Default 32MiB: the
    last 13 minutes at 200 requests/s."""
    size_bytes: Annotated[Bytes, Field(ge=4 << 20, le=1 << 40)] = 64 << 20
    """On disk at most, both files together, 4MiB to 1TiB. Default 64MiB, about two million
    requests."""


class Config(Section):
    """Everything that one Governor process is told. Valid as a whole, never changed."""

    listeners: Annotated[tuple[Listener, ...], Field(min_length=1)] = (Listener(),)
    """Where callers connect. Default: 127.0.0.1:8080."""
    workers: Workers = 1
    """Processes that serve callers on the same ports, 1 to 64, or auto: as many as there are
    cores. They decide as one: one more process keeps every limit, line and signal for all. Default
    1: one process does everything, which is fastest on one core."""
    admin: Admin = Admin()
    """The control plane."""
    upstreams: Annotated[dict[Name, Upstream], Field(min_length=1)]
    """The services behind, by name."""
    routes: tuple[Route, ...] = ()
    """Which requests go where; the most specific wins. Default with one upstream: all to it."""
    policies: Policies = Policies()
    """How Governor intervenes."""
    agents: tuple[Agent, ...] = ()
    """Agents with an envelope of their own; the first that matches wins. Default none."""
    agents_default: Envelope | None = None
    """The envelope of every other agent. Default none."""
    agents_learned: LearnedEnvelopes | None = None
    """Learn an envelope for each agent that neither of the two limits. Default none: off."""
    fleet: Fleet | None = None
    """Governors that share one view per upstream through Redis or Valkey. Default none: alone."""
    access_log: AccessLog = AccessLog()
    """What is logged per request."""
    recorder: Recorder = Recorder()
    """What is recorded to be played again."""
    decision_headers: DecisionHeaders = "touched"
    """Response headers x-governor-request-id, -decision, -delay-ms, -reason: off; touched, on what
    was delayed, answered or sent elsewhere; all. Default touched: the rest passes byte for byte."""
    drain_timeout_s: Seconds = 30.0
    """After SIGTERM, time for what is in flight to finish. Default 30s, Kubernetes' grace
    period."""

    @model_validator(mode="before")
    @classmethod
    def _route_to_the_only_upstream(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("routes"):
            upstreams = data.get("upstreams")
            if isinstance(upstreams, dict) and len(upstreams) == 1:
                return data | {"routes": (Route.model_construct(upstream=next(iter(upstreams))),)}
        return data

    @model_validator(mode="after")
    def _check_whole(self, info: ValidationInfo) -> Self:
        found = list(find_conflicts(self))
        if isinstance(info.context, list):
            info.context.extend(found)  # the loader shows each with its line
        elif found:
            raise ValueError("; ".join(f"{dotted(path)} {message}" for path, message in found))
        return self

    @classmethod
    def single(
        cls,
        upstream_url: str,
        listen: str = DEFAULT_LISTEN,
        admin: str | None = DEFAULT_ADMIN,
        mode: Mode = "govern",
    ) -> Self:
        """Return the zero-configuration form: one listener, one upstream, everything default."""
        return cls(
            listeners=(Listener(address=listen),),
            admin=Admin(address=admin),
            upstreams={"default": Upstream(endpoints=(upstream_url,))},
            policies=Policies(mode=mode),
        )
