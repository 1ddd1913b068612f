"""What may be configured: frozen values, checked whole.

*Rule of this file*: values and their bounds only; no files, no environment, no
sockets. In YAML a key carries no unit and its value does (``connect_timeout: 5s``);
the attribute says the unit (``connect_timeout_s``, float seconds). The text
under each field is its reference: meaning, unit, range, default and why; it is
also the description in ``governor schema``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from governor.config.durations import (
    Address,
    EndpointAddress,
    format_duration,
    format_size,
    parse_address,
    parse_duration_s,
    parse_endpoint,
    parse_size_bytes,
)

Mode = Literal["govern", "observe"]
HostHeader = Literal["auto", "preserve", "rewrite"]
OnLeave = Literal["keep", "cancel"]
AccessLogMode = Literal["off", "touched", "all"]

DEFAULT_LISTEN = "127.0.0.1:8080"
DEFAULT_ADMIN = "127.0.0.1:9090"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def _check_address(text: str) -> str:
    parse_address(text)
    return text.strip()


def _check_endpoint(url: str) -> str:
    parse_endpoint(url)
    return url.rstrip("/")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "must be a name of 1 to 63 letters, digits, '.', '_' or '-' (it becomes a metric label)"
        )
    return name


def _check_token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("must be an HTTP token: letters, digits and !#$%&'*+.^_`|~- only")
    return text


def _check_host(host: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]", host):
        raise ValueError(
            "must be a host name as callers send it in Host, without scheme, port or path"
        )
    return host.lower()


def _check_path_prefix(path: str) -> str:
    if (
        not path.startswith("/")
        or not re.fullmatch(r"[\x21-\x7e]+", path)
        or "?" in path
        or "#" in path
    ):
        raise ValueError(
            "must start with '/' and hold no spaces, query or fragment, as in /v1/messages"
        )
    return path


def _read_limit(value: object) -> object:
    if value == "auto":
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise ValueError(
            "must be auto, or a whole number of requests in flight per endpoint, 1 to 1000000"
        )
    return value


_DURATION_SCHEMA = {
    "type": ["string", "number"],
    "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h)?$",
    "examples": ["200ms", "2s"],
}
_SIZE_SCHEMA = {
    "type": ["string", "integer"],
    "pattern": r"^\d+\s*(B|KiB|MiB|GiB)?$",
    "examples": ["64KiB"],
}

Seconds = Annotated[
    float,
    Field(gt=0, le=86_400),
    BeforeValidator(parse_duration_s),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A duration above 0 and at most a day."""

Bytes = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema(_SIZE_SCHEMA),
]
"""A size."""

ListenAddress = Annotated[str, AfterValidator(_check_address)]
EndpointUrl = Annotated[str, AfterValidator(_check_endpoint)]
Name = Annotated[str, AfterValidator(_check_name)]
Token = Annotated[str, AfterValidator(_check_token)]
HeaderName = Annotated[str, AfterValidator(lambda text: _check_token(text).lower())]
Method = Annotated[str, AfterValidator(lambda text: _check_token(text).upper())]
Limit = Annotated[int | Literal["auto"], BeforeValidator(_read_limit)]


def key_of(attribute: str) -> str:
    """Return the YAML key of a model attribute: the unit suffix falls away.

    Examples
    --------
    >>> key_of("connect_timeout_s"), key_of("max_head_bytes"), key_of("mode")
    ('connect_timeout', 'max_head', 'mode')
    """
    return attribute.removesuffix("_bytes").removesuffix("_s")


class Section(BaseModel):
    """What all sections share: frozen, unknown keys refused, keys without units."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=key_of,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


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
    """Open connections at once, 1 to 1000000; further ones are closed at once. Default 10000,
    about 60 MB."""
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

    address: ListenAddress | None = DEFAULT_ADMIN
    """HOST:PORT, or null for none. Default 127.0.0.1:9090: loopback, for it has no
    authentication."""

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
    max_wait_s: Seconds = 30.0
    """Longest wait for a place, whatever the caller's patience. Default 30s: most clients'
    shortest time-out."""
    max_waiting: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """Requests that may wait at once, 0 to 1000000; further ones are invited back later.
    Default 10000."""
    abandoned_timeout_s: Seconds = 60.0
    """How long work whose caller has left keeps its place while the upstream does not answer.
    Default 60s."""
    tls: UpstreamTls = UpstreamTls()
    """How https endpoints are verified. Default: by the system's authorities."""

    @property
    def addresses(self) -> tuple[EndpointAddress, ...]:
        """The endpoints, taken apart, in the order given."""
        return tuple(parse_endpoint(url) for url in self.endpoints)


class Match(Section):
    """Which requests a route takes: all conditions must hold; none given means all requests."""

    host: Annotated[str, AfterValidator(_check_host)] | None = None
    """Host that the caller asks for, without port, any case. Default: every host."""
    path_prefix: Annotated[str, AfterValidator(_check_path_prefix)] = "/"
    """Beginning of the path; ends at a path segment (/v1 takes /v1/x, not /v10). Default /:
    every path."""
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    """Header names with the exact value that each must have. Default: none."""
    methods: tuple[Method, ...] = ()
    """Methods to take. Default: every method."""


class Route(Section):
    """Sends the requests that match to an upstream. The first route that matches takes the
    request."""

    match: Match = Match()
    """Which requests. Default: all."""
    upstream: Name
    """Name of one of the upstreams."""
    host: HostHeader = "auto"
    """Host sent upstream: preserve the caller's, rewrite to the endpoint's, or auto: rewrite
    for https only."""
    on_leave: OnLeave = "keep"
    """When a caller leaves: keep its place until the upstream answers (most services work on),
    or cancel the call."""
    governed: bool = True
    """False exempts the route: its requests are counted, never held and never sent away.
    Default true."""


class Policies(Section):
    """How Governor intervenes."""

    mode: Mode = "govern"
    """observe computes and reports every decision and changes nothing. Default govern."""
    patience_s: Seconds = 10.0
    """How long a caller is assumed to wait before its own is hinted or learned. Default 10s:
    below common time-outs."""
    slot_horizon_s: Annotated[Seconds, Field(ge=1, le=60)] = 60.0
    """Latest time that a caller is told to come back after, 1s to 60s. Default 60s: SDKs ignore
    longer ones."""


class AccessLog(Section):
    """One JSON line per request. Never bodies, query strings or credentials."""

    mode: AccessLogMode = "touched"
    """off; touched: what was delayed, answered by Governor, or failed; all. Default touched:
    quiet when all is well."""
    path: str = "-"
    """File to append to, or - for standard error. Default -."""


class Config(Section):
    """Everything that one Governor process is told. Valid as a whole, never changed."""

    listeners: Annotated[tuple[Listener, ...], Field(min_length=1)] = (Listener(),)
    """Where callers connect. Default: 127.0.0.1:8080."""
    admin: Admin = Admin()
    """The control plane."""
    upstreams: Annotated[dict[Name, Upstream], Field(min_length=1)]
    """The services behind, by name."""
    routes: tuple[Route, ...] = ()
    """Which requests go where, first match first. Default with one upstream: everything goes to
    it."""
    policies: Policies = Policies()
    """How Governor intervenes."""
    access_log: AccessLog = AccessLog()
    """What is logged per request."""
    drain_timeout_s: Seconds = 30.0
    """After SIGTERM, time for what is in flight to finish. Default 30s, Kubernetes' grace
    period."""

    @model_validator(mode="before")
    @classmethod
    def _route_to_the_only_upstream(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("routes"):
            upstreams = data.get("upstreams")
            if isinstance(upstreams, dict) and len(upstreams) == 1:
                return data | {"routes": ({"upstream": next(iter(upstreams))},)}
        return data

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        problems = [message for _, message in find_conflicts(self)]
        if problems:
            raise ValueError("; ".join(problems))
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


def find_conflicts(config: Config) -> list[tuple[tuple[str | int, ...], str]]:
    """Return what is wrong between sections that are each valid: (path, message) pairs."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    if not config.routes:
        found.append(
            (
                ("routes",),
                "must be given where there are several upstreams: which requests go where?",
            )
        )
    for idx, route in enumerate(config.routes):
        if route.upstream not in config.upstreams:
            found.append((("routes", idx, "upstream"), "must name one of the upstreams"))
    taken: dict[Address, str] = {}
    own = [
        (("listeners", idx, "address"), listener.parsed)
        for idx, listener in enumerate(config.listeners)
    ]
    if config.admin.parsed is not None:
        own.append((("admin", "address"), config.admin.parsed))  # type: ignore[arg-type]
    for path, address in own:
        where = ".".join(map(str, path))
        if address.port and address in taken:
            found.append(
                (path, f"must differ from {taken[address]}: an address can be listened on once")
            )
        taken.setdefault(address, where)
    for name, upstream in config.upstreams.items():
        for idx, endpoint in enumerate(upstream.addresses):
            where_own = taken.get(Address(endpoint.host, endpoint.port))
            if where_own is not None:
                found.append(
                    (
                        ("upstreams", name, "endpoints", idx),
                        f"must not be Governor's own {where_own}: a loop",
                    )
                )
    return found
