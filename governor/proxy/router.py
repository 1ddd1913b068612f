r"""Which route takes a request.

*Rule of this file*: heads in, routes out; no I/O. The gate and the pools of a
route are passed in and never looked into.

The most specific route wins, in whatever order they are written: an exact host
before ``*.suffix`` before any; then the longer path prefix; then more
conditions on headers and method; then the order of the configuration. A prefix
ends at a segment: ``/v1`` takes ``/v1`` and ``/v1/x``, never ``/v10``.

*Paths* are matched as sent, not decoded, and go on as sent. Where a service
could read another path into the same bytes (``//``, ``/../``, ``%2e``, ``%2f``,
``\``, ``..;``), a prefix takes the request only if that other reading begins with
it too. ``/open/../admin`` is thus no request for ``/open``, nor one for ``/admin``:
it falls to a route without prefix, or to none.

*Considered and rejected*: refusing such paths (object stores and code hosts
have legitimate ``//`` and ``%2F``); a tree of prefixes (routes are few).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from governor.core.terms import NO_TERMS, Terms
from governor.proxy import coalesce, unshared
from policies.switches import GOVERN, OFF, Policy, state_of

if TYPE_CHECKING:
    from governor.config.model import Route as RouteConfig
    from governor.core.gate import Gate
    from governor.proxy.exchange import Exchange
    from governor.proxy.headers import RequestHead
    from governor.proxy.pool import EndpointPool

_AMBIGUOUS = (b"//", b"/.", b"%", b"\\", b";")
_DECODINGS = 3
"""Rounds of percent-decoding looked through: services behind services decode again."""

CountHook = Callable[[int, int, int], None]


def _count_nothing(status: int, action: int, duration_ns: int) -> None:
    """Count nothing: for a router without a control plane."""


class Route:
    """A route as it runs.

    Parameters
    ----------
    config : governor.config.model.Route
    gate : Gate
        Of the route's upstream.
    pools : sequence of EndpointPool
        One per endpoint, in the order of the gate's.
    pools_by_name : mapping of str to sequence of EndpointPool, optional
        By upstream: where a fallback leads.
    name : str, optional
        For logs and metrics; default: the upstream's name.
    terms : Terms, optional
        Of the route's own policies.
    switches : int
        The policies' states for its requests (:mod:`policies.switches`); default: all govern.
    count : callable, optional
        ``count(status, action, duration_ns)``, called for every finished request that had
        an answer or a caller to give it to.

    Attributes
    ----------
    absorb_ns : int
        How long a refusal may be waited out; 0 for not at all.
    terms : Terms or None
        What its requests are met with instead of what the upstream's gate does by itself.
    join : callable or None
        ``join(exchange, now_ns) -> bool`` where identical requests share a call.
    """

    __slots__ = (
        "_absorb_ns",
        "_coalesces",
        "_headers",
        "_host",
        "_methods",
        "_prefix",
        "_rewrites_host",
        "_suffix",
        "absorb_ns",
        "affinity",
        "count",
        "gate",
        "is_governed",
        "join",
        "name",
        "on_leave",
        "policies",
        "pools",
        "pools_by_name",
        "terms",
        "upstream",
    )

    def __init__(
        self,
        config: RouteConfig,
        gate: Gate,
        pools: Sequence[EndpointPool],
        name: str = "",
        count: CountHook = _count_nothing,
        pools_by_name: Mapping[str, Sequence[EndpointPool]] | None = None,
        terms: Terms = NO_TERMS,
        switches: int = 0,
    ) -> None:
        self.count = count
        self.pools_by_name = pools_by_name or {}
        self.affinity = (config.affinity or "").lower().encode("ascii")
        match = config.match
        host = (match.host or "").lower().encode("ascii")
        self._suffix = host[1:] if host.startswith(b"*.") else b""
        self._host = b"" if self._suffix else host
        self._prefix = match.path_prefix.rstrip("/").encode("ascii")
        self._headers = tuple(
            (key.lower().encode("ascii"), value.encode("latin-1", "replace"))
            for key, value in match.headers.items()
        )
        self._methods = frozenset(method.encode("ascii") for method in match.methods)
        self._rewrites_host = config.host
        self.gate = gate
        self.pools = tuple(pools)
        self.upstream = config.upstream
        self.name = name or config.upstream
        self.on_leave = config.on_leave
        self.is_governed = config.governed
        self.policies = config.policies
        self._absorb_ns = int(config.absorb_s * 1e9)
        self._coalesces = config.coalesce
        self.lay_down(terms, switches)

    def lay_down(self, terms: Terms, switches: int) -> None:
        """Let this bind the requests from now on."""
        self.terms = None if terms == NO_TERMS else terms
        self.absorb_ns = 0 if state_of(switches, Policy.ABSORB) == OFF else self._absorb_ns
        self.join: Callable[[Exchange, int], bool] | None = None
        if self._coalesces and state_of(switches, Policy.COALESCE) != OFF:
            is_shared = state_of(switches, Policy.COALESCE) == GOVERN
            self.join = coalesce.join if is_shared else unshared.watch

    @property
    def is_catch_all(self) -> bool:
        """Whether it takes every request."""
        return not (self._host or self._suffix or self._prefix or self._headers or self._methods)

    @property
    def specificity(self) -> tuple[int, int, int, int]:
        """Greater is tried first."""
        host = 2 if self._host else 1 if self._suffix else 0
        n_conditions = len(self._headers) + bool(self._methods)
        return host, len(self._suffix), len(self._prefix), n_conditions

    def keeps_host(self, pool: EndpointPool) -> bool:
        """Return whether the caller's Host goes on to this endpoint."""
        choice = self._rewrites_host
        return choice == "preserve" or (choice == "auto" and not pool.address.is_tls)

    def takes(self, head: RequestHead, paths: tuple[bytes, ...]) -> bool:
        """Return whether all conditions hold, for each of the readings of the path."""
        if self._host:
            if head.host.rstrip(b".") != self._host:
                return False
        elif self._suffix and not head.host.rstrip(b".").endswith(self._suffix):
            return False
        prefix = self._prefix
        if prefix:
            below = prefix + b"/"
            for path in paths:
                if path != prefix and not path.startswith(below):
                    return False
        if self._methods and head.method not in self._methods:
            return False
        return all(head.get(name) == value for name, value in self._headers)


class Router:
    """Finds the route of a request.

    Parameters
    ----------
    routes : iterable of Route
        In the order of the configuration.

    Attributes
    ----------
    match : callable
        ``match(head) -> Route | None``. With one catch-all route it does nothing else
        than return it.
    """

    __slots__ = ("_ordered", "match", "routes")

    match: Callable[[RequestHead], Route | None]

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._ordered = sorted(self.routes, key=lambda route: route.specificity, reverse=True)
        first = self._ordered[0] if self._ordered else None
        if first is not None and first.is_catch_all:
            self.match = lambda _head: first
        else:
            self.match = self._find

    def _find(self, head: RequestHead) -> Route | None:
        path = head.path
        paths: tuple[bytes, ...] = (path,)
        for mark in _AMBIGUOUS:
            if mark in path:
                paths = (path, tidy_path(path))
                break
        for route in self._ordered:
            if route.takes(head, paths):
                return route
        return None


def tidy_path(path: bytes) -> bytes:
    """Return the path that a lenient service could read: decoded, without dots and doubled slashes.

    Examples
    --------
    >>> tidy_path(b"/open/%2e%2e/admin"), tidy_path(b"/a//b/./c"), tidy_path(b"/open/..;x/admin")
    (b'/admin', b'/a/b/c', b'/admin')
    """
    for _ in range(_DECODINGS):
        decoded = unquote_to_bytes(path)
        if decoded == path:
            break
        path = decoded
    segments: list[bytes] = []
    for segment in path.replace(b"\\", b"/").split(b"/"):
        plain = segment.partition(b";")[0]
        if plain == b"..":
            del segments[-1:]
        elif plain and plain != b".":
            segments.append(plain)
    return b"/" + b"/".join(segments)
