"""What the gate is told about a request: from its headers, its path and its connection.

*Rule of this file*: header values go into keyed hashes and integers, and
nowhere else; none is kept, logged or stored. Query values, cookies and bodies
are content and are not read at all. Everything here is a hint: none is
required, and one that cannot be understood is counted and otherwise ignored.

*Theory*. Tenant: the credential, else the peer's address. Flow: the agent by
the most exact name it gives, else its connection; always below its tenant, so
that nobody can speak in another's name. Tree: the fan-out of one intent, by
trace id (128 random bits, the same under different credentials, so that it
holds across upstreams), by session below the tenant, else the flow itself; a
flow without a name goes by its request id where that has been seen before.
Never the tenant: a key that many agents share is no intent.
Attempt: the highest that any layer marks, for layers multiply. Patience: the
shortest that any layer states; Governor's own hint before all others.
Family: see :mod:`governor.proxy.families`.

A request id is the weakest key, for most who send one (proxies, gateways) make
it anew for every request: as a tree each would take a place in the table for
nothing. So an id counts from its second request on; a fan-out that passes it
on has one call less than it has.

A request without hints costs four table look-ups and two hashes. What the headers of one say,
but for its length, its trace and its own id, is read once for all that are alike
(:mod:`governor.proxy.alike`).

*Source*: the clients' own code and documentation, named in
:mod:`governor.proxy.hint_values`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from secrets import token_bytes
from time import monotonic_ns, time
from typing import TYPE_CHECKING

from governor.core.arrival import UNMARKED, Arrival
from governor.proxy import families
from governor.proxy import header_names as names
from governor.proxy import hint_values as read
from governor.proxy.dialects import speaks_mcp
from governor.proxy.hints import Hints
from governor.proxy.stats import ProxyStats
from policies.contain import N_KINDS
from signals.families import MCP, STAINLESS

if TYPE_CHECKING:
    from governor.core.identity import Identities
    from governor.proxy.agents import AgentMatcher
    from governor.proxy.headers import RequestHead
    from governor.proxy.peer import Peer
    from governor.proxy.router import Route

_CREDENTIALS = (names.AUTHORIZATION, names.X_API_KEY, names.API_KEY, names.X_GOOG_API_KEY)
_FLOWS = (
    names.GOVERNOR_FLOW,
    names.FAIRNESS_ID,
    names.CLAUDE_AGENT_ID,
    names.CLAUDE_SESSION_ID,
    names.THREAD_ID,
    names.SESSION_ID,
    names.QWEN_SESSION_ID,
    names.MCP_SESSION_ID,
)
_SESSIONS = (
    names.CLAUDE_SESSION_ID,
    names.CODEX_PARENT_THREAD_ID,
    names.THREAD_ID,
    names.SESSION_ID,
    names.QWEN_SESSION_ID,
    names.MCP_SESSION_ID,
)
_ATTEMPTS: tuple[tuple[int, Callable[[bytes], int | None]], ...] = (
    (names.AMZ_SDK_REQUEST, read.read_amz_attempt),
    (names.GOOG_API_CLIENT, read.read_google_attempt),
    (names.GRPC_PREVIOUS_ATTEMPTS, read.read_count),
)
_PATIENCE: tuple[tuple[int, Callable[[bytes], int | None]], ...] = (
    (names.STAINLESS_TIMEOUT, read.read_seconds),
    (names.ENVOY_RQ_TIMEOUT_MS, read.read_millis),
    (names.ENVOY_EXPECTED_TIMEOUT_MS, read.read_millis),
    (names.SERVER_TIMEOUT, read.read_seconds),
    (names.GRPC_TIMEOUT, read.read_grpc_timeout),
)
_DEADLINES = (names.GOVERNOR_DEADLINE_MS, names.GRPC_TIMEOUT)
"""State an end for all tries together; the SDKs' time-outs begin anew with each."""
_URGENCY: tuple[tuple[int, Callable[[bytes], int | None]], ...] = (
    (names.GOVERNOR_PRIORITY, read.read_own_priority),
    (names.PRIORITY, read.read_urgency),
    (names.CLAUDE_REQUEST_CLASS, read.read_request_class),
    (names.SBI_PRIORITY, read.read_sbi_priority),
)
_known_agents = families.known_agents
_UNTOLD = families.UNTOLD
_SHORTEST_STREAM = len(b"text/event-stream")
_TRACE_ID = slice(3, 35)
_NO_TRACE = b"0" * 32

N_REQUEST_IDS = 16_384
"""Request ids remembered, one a place: some seconds of the busiest process."""

_REQUEST_ID_MASK = N_REQUEST_IDS - 1


class ArrivalReader:
    """Turns heads into arrivals; holds the salt and the tables, nothing of any request.

    Parameters
    ----------
    identities : Identities
    salt : bytes, optional
        Secret of this process: without it no hash can be tried against a guess.
    clock_ns, wall_s : callable, optional
        Monotonic nanoseconds; Unix seconds (for the one hint that is an instant).
    agents : AgentMatcher, optional
        Told of each flow that is new, where agents are configured.
    stats : ProxyStats, optional
        Where it is counted which hints could not be understood.
    """

    __slots__ = (
        "_agents",
        "_clock_ns",
        "_identities",
        "_request_ids",
        "_salt",
        "_stats",
        "_wall_s",
    )

    def __init__(
        self,
        identities: Identities,
        salt: bytes = b"",
        clock_ns: Callable[[], int] = monotonic_ns,
        wall_s: Callable[[], float] = time,
        agents: AgentMatcher | None = None,
        stats: ProxyStats | None = None,
    ) -> None:
        self._identities = identities
        self._salt = salt or token_bytes(32)
        self._clock_ns = clock_ns
        self._wall_s = wall_s
        self._request_ids = array("q", bytes(8 * N_REQUEST_IDS))
        self._stats = stats or ProxyStats()
        self._agents = agents
        if agents is not None:
            agents.hash_rules(self._salt)

    @property
    def n_malformed(self) -> int:
        """Hints that could not be understood."""
        return self._stats.n_malformed_hints

    @n_malformed.setter
    def n_malformed(self, n: int) -> None:
        self._stats.n_malformed_hints = n

    def __call__(self, head: RequestHead, peer: Peer, route: Route) -> Arrival:
        """Return the arrival of a request on its route (the data plane's hook)."""
        arrival = self.read(head, peer, self._clock_ns(), route.is_governed)
        if route.terms is not None:
            route.terms.lay_down(arrival)
        if route.affinity:
            value = head.get(route.affinity)
            if value:
                arrival.affinity = hash(self._salt + value) or 1
        return arrival

    def read(self, head: RequestHead, peer: Peer, now_ns: int, is_governed: bool = True) -> Arrival:
        """Return the arrival of a finished head."""
        values = head.values
        identities = self._identities
        kin = head.kin
        if kin is None:
            hints = self._read_hints(head, peer)
            arrival = hints.arrival
        else:  # nearly all: what those before it on its connection said, it says too
            known = kin.hints
            hints = known or self._read_hints(head, peer)
            if known is None and hints.is_lasting:
                kin.hints = hints
            arrival = hints.arrival.copy()
        if not is_governed:
            arrival.is_exempt = True
        tenant_key, flow_key, tree_key = hints.tenant_key, hints.flow_key, hints.tree_key
        trace = values.get(names.TRACEPARENT)
        trace_key = self._read_trace(trace) if trace else None
        if trace_key is not None:
            arrival.source = peer.key or peer.make_key(self._salt)
            tree_key = trace_key
        if head.request_id and tree_key == flow_key and not arrival.is_identified:
            request_key = hash((tenant_key, self._salt + head.request_id))
            tree_key = self._read_request_id(request_key, flow_key)
        arrival.fingerprint = hash((hints.path_key, head.method, head.content_length))
        if hints.parent_key is not None:
            arrival.parent_flow = identities.flows.find(hints.parent_key)
        arrival.tenant = identities.tenants.index(tenant_key, now_ns)
        flow = arrival.flow = identities.flows.index(flow_key, now_ns)
        agents = self._agents
        if agents is not None and agents.rule_of[flow] < 0:
            agents.meet(flow, tenant_key, values, self._salt)
        arrival.tree = identities.trees.index(tree_key, now_ns)
        return arrival

    def _read_hints(self, head: RequestHead, peer: Peer) -> Hints:
        """Return what the headers say that need not be said anew by the next request."""
        values = head.values
        salt = self._salt
        n_malformed = self.n_malformed
        has_hints = head.seen & (names.HINT | names.RARE_HINT)
        tenant_key = 0
        if has_hints:
            for code in _CREDENTIALS:
                if code in values:
                    tenant_key = hash(salt + values[code])
                    break
        if not tenant_key:
            tenant_key = peer.key or peer.make_key(salt)
        hints = Hints(tenant_key, hash((tenant_key, peer.port)), hash(salt + head.path))
        arrival = hints.arrival
        if has_hints:
            if names.STAINLESS_RETRY_COUNT in values:
                attempt = read.read_count(values[names.STAINLESS_RETRY_COUNT])
                arrival.attempt = self._checked(attempt, UNMARKED)
            if names.STAINLESS_READ_TIMEOUT in values:
                patience_ns = read.read_seconds(values[names.STAINLESS_READ_TIMEOUT])
                arrival.patience_ns = self._checked(patience_ns, 0)
            accept = values.get(names.ACCEPT, b"")
            if len(accept) >= _SHORTEST_STREAM:
                arrival.can_retry = not speaks_mcp(head)
                if head.method == b"GET" and accept.startswith(b"text/event-stream"):
                    arrival.is_exempt = True  # idles for hours and holds no capacity
            if has_hints & names.RARE_HINT:
                arrival.can_retry = not speaks_mcp(head)
                self._read_identity(hints, values)
                self._read_demands(arrival, values)
                if names.MCP_NAME in values or names.MCP_METHOD in values:
                    hints.path_key = self._read_mcp(arrival, values, hints.path_key)
        arrival.family = self._read_family(head, arrival.can_retry)
        arrival.kind = (hints.path_key + len(head.method)) % N_KINDS
        is_instant = names.AMZ_SDK_REQUEST in values
        hints.is_lasting = not is_instant and self.n_malformed == n_malformed
        return hints

    def _read_family(self, head: RequestHead, can_retry: bool) -> int:
        """Return which library calls."""
        agent = head.values.get(names.USER_AGENT, b"")
        family = _known_agents.get(agent)
        if family is None:
            family = families.learn_agent(agent)
        if family in _UNTOLD and head.seen & (names.HINT | names.RARE_HINT):
            if head.seen & names.RARE_HINT:
                family = families.read_headers(head, family)
            elif names.STAINLESS_RETRY_COUNT in head.values:
                family = STAINLESS
            elif not can_retry:
                family = MCP
        return family

    def _read_mcp(self, arrival: Arrival, values: dict[int, bytes], path_key: int) -> int:
        """Return the key of what is called: all methods of MCP share one path.

        A ping tells whether the server lives, and nobody waits for a notification: neither is held.
        """
        method = values.get(names.MCP_METHOD, b"")
        if method == b"ping" or method.startswith(b"notifications/"):
            arrival.is_exempt = True
        return hash((path_key, self._salt + method, self._salt + values.get(names.MCP_NAME, b"")))

    def _read_identity(self, hints: Hints, values: dict[int, bytes]) -> None:
        """Read whose request it is, and of which session."""
        salt, tenant_key = self._salt, hints.tenant_key
        for code in _FLOWS:
            value = values.get(code)
            if value:
                hints.flow_key = hints.tree_key = hash((tenant_key, salt + value))
                hints.arrival.is_identified = True
                break
        if names.CLAUDE_AGENT_ID in values:  # a main agent goes by its session
            parent = values.get(names.CLAUDE_PARENT_AGENT_ID) or values.get(names.CLAUDE_SESSION_ID)
        else:
            parent = values.get(names.CODEX_PARENT_THREAD_ID)
        if parent:
            hints.parent_key = hash((tenant_key, salt + parent))
        for code in _SESSIONS:
            value = values.get(code)
            if value:
                hints.tree_key = hash((tenant_key, salt + value))
                break

    def _read_trace(self, trace: bytes) -> int | None:
        """Return the key of the tree that a ``traceparent`` names; None if it names none."""
        trace_id = trace[_TRACE_ID]
        is_hex = trace_id.strip(b"0123456789abcdef") == b""
        if len(trace) >= 55 and is_hex and trace_id != _NO_TRACE:
            return hash(self._salt + trace_id)
        self.n_malformed += 1
        return None

    def _read_request_id(self, key: int, flow_key: int) -> int:
        """Return the tree's key: the request id's if it was seen lately, else the flow's."""
        seen = self._request_ids
        place = key & _REQUEST_ID_MASK
        if seen[place] == key:
            return key
        seen[place] = key
        return flow_key

    def _read_demands(self, arrival: Arrival, values: dict[int, bytes]) -> None:
        """Read what others than the plain SDK calls say of attempt, patience and urgency."""
        for code, reader in _ATTEMPTS:
            if code in values:
                value = values[code]
                attempt = reader(value)
                if attempt is not None:
                    arrival.attempt = max(arrival.attempt, attempt)
                elif code != names.GOOG_API_CLIENT:
                    self.n_malformed += 1
        if names.ENVOY_ATTEMPT_COUNT in values:
            count = self._checked(read.read_count(values[names.ENVOY_ATTEMPT_COUNT]), 0)
            arrival.attempt = max(arrival.attempt, count - 1)
        for code, reader in _PATIENCE:
            if code in values:
                self._shorten(arrival, reader(values[code]))
        if names.AMZ_SDK_REQUEST in values and read.has_ttl(values[names.AMZ_SDK_REQUEST]):
            self._shorten(arrival, read.read_amz_ttl(values[names.AMZ_SDK_REQUEST], self._wall_s()))
        for code in _DEADLINES:
            if code in values:
                arrival.is_deadline = True
        if names.GOVERNOR_DEADLINE_MS in values:
            own_ns = read.read_millis(values[names.GOVERNOR_DEADLINE_MS])
            arrival.patience_ns = self._checked(own_ns, arrival.patience_ns)
        for code, reader in _URGENCY:
            if code in values:
                urgency = reader(values[code])
                if urgency is not None:
                    arrival.urgency = urgency
                    break
                if code != names.PRIORITY:
                    self.n_malformed += 1

    def _shorten(self, arrival: Arrival, patience_ns: int | None) -> None:
        if patience_ns is None:
            self.n_malformed += 1
        elif not arrival.patience_ns or patience_ns < arrival.patience_ns:
            arrival.patience_ns = patience_ns

    def _checked(self, value: int | None, otherwise: int) -> int:
        if value is None:
            self.n_malformed += 1
            return otherwise
        return value
