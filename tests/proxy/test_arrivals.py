"""An arrival says who calls, how often and how long it waits; no value it was read from stays."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from unittest.mock import Mock

import pytest

from governor.core.arrival import UNMARKED, Arrival
from governor.core.identity import Identities
from governor.proxy.arrivals import ArrivalReader
from governor.proxy.families import MAX_AGENT_BYTES, MAX_AGENTS, known_agents
from governor.proxy.peer import Peer
from governor.proxy.stats import ProxyStats
from signals.families import FAMILIES
from tests.proxy.heads import head_of
from tests.support.fields import fields_of

S = 1_000_000_000
A, B = b"Authorization: Bearer one", b"Authorization: Bearer two"
CLAUDE = b"X-Claude-Code-Session-Id: s1"


@dataclass
class Reading:
    """A reader with its own tables."""

    identities: Identities = field(default_factory=Identities)

    def __post_init__(self) -> None:
        self.stats = ProxyStats()
        self.reader = ArrivalReader(
            self.identities, b"salt", lambda: 0, lambda: 1_000_000_000.0, stats=self.stats
        )

    def __call__(
        self, *fields: bytes, port: int = 1, ip: str = "192.0.2.1", **kwargs: bytes
    ) -> Arrival:
        return self.reader.read(head_of(*fields, **kwargs), Peer(ip, port), 0)


@pytest.fixture(name="read")
def _read() -> Reading:
    return Reading()


def test_a_request_without_hints(read: Reading) -> None:
    """None of the hints is required."""
    arrival = read()
    assert (arrival.attempt, arrival.urgency, arrival.patience_ns) == (UNMARKED, 3, 0)
    assert not arrival.is_identified
    assert not arrival.is_exempt
    assert arrival.can_retry
    assert arrival.tenant
    assert arrival.flow
    assert arrival.tree


def test_the_tenant_is_the_credential_else_the_address(read: Reading) -> None:
    """One key from two addresses is one tenant; two keys from one address are two."""
    assert read(A).tenant == read(A, ip="192.0.2.9").tenant
    assert read(A).tenant != read(B).tenant != read().tenant
    assert read().tenant == read(port=2).tenant != read(ip="192.0.2.9").tenant
    for name in (b"x-api-key", b"Api-Key", b"X-Goog-Api-Key"):
        assert read(name + b": k").tenant != read().tenant


def test_query_keys_are_content(read: Reading) -> None:
    """A key in the query is not looked at, and no query changes anything."""
    one, other = read(target=b"/a?key=1"), read(target=b"/a?key=2")
    assert (one.tenant, one.fingerprint) == (other.tenant, other.fingerprint)


def test_without_a_name_the_connection_is_the_flow(read: Reading) -> None:
    """Two connections of a tenant are two flows, and one is one."""
    assert read(A).flow == read(A).flow != read(A, port=2).flow
    assert read(A).tree == read(A).tree != read(A, port=2).tree


@pytest.mark.parametrize(
    "name",
    [
        b"X-Governor-Flow",
        b"X-Gateway-Inference-Fairness-Id",
        b"X-Claude-Code-Agent-Id",
        b"X-Claude-Code-Session-Id",
        b"Thread-Id",
        b"Session-Id",
        b"X-Qwen-Code-Session-Id",
        b"Mcp-Session-Id",
    ],
)
def test_a_named_flow_is_one_flow_over_connections(read: Reading, name: bytes) -> None:
    """An agent's name holds over its connections, and below its tenant only."""
    first = read(A, name + b": agent")
    again = read(A, name + b": agent", port=2)
    assert first.flow == again.flow
    assert first.is_identified
    assert first.flow != read(A, name + b": other").flow
    assert first.flow != read(B, name + b": agent").flow
    assert not read(A, name + b":").is_identified


def test_the_most_exact_name_is_the_flow(read: Reading) -> None:
    """A sub-agent is its own flow in its session's tree."""
    main = read(A, CLAUDE)
    sub = read(A, CLAUDE, b"X-Claude-Code-Agent-Id: a1")
    assert sub.flow != main.flow
    assert sub.tree == main.tree


def test_codex_children_are_in_their_parents_tree(read: Reading) -> None:
    """The parent's thread id names the tree for both."""
    parent = read(A, b"Thread-Id: t1")
    child = read(A, b"Thread-Id: t2", b"X-Codex-Parent-Thread-Id: t1")
    assert child.tree == parent.tree
    assert child.flow != parent.flow


def test_a_trace_is_one_tree_across_credentials(read: Reading) -> None:
    """Trouble that moves through one intent's calls is seen whatever keys they carry."""
    trace = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-%b-01"
    one = read(A, trace % b"00f067aa0ba902b7")
    other = read(B, trace % b"00f067aa0ba902b8", CLAUDE)
    assert one.tree == other.tree
    assert one.flow != other.flow
    assert one.source == other.source != 0  # one address
    assert read.reader.n_malformed == 0
    malformed = read(A, b"traceparent: 00-short-1")
    assert malformed.tree != one.tree
    assert malformed.source == read(A).source == 0  # only who names a trace has a root
    assert read.reader.n_malformed == 1


@pytest.mark.parametrize(
    ("fields", "attempt"),
    [
        ([b"x-stainless-retry-count: 0"], 0),
        ([b"x-stainless-retry-count: 2"], 2),
        ([b"amz-sdk-request: attempt=1"], 0),
        ([b"amz-sdk-request: ttl=20010909T014650Z; attempt=3; max=3"], 2),
        ([b"x-goog-api-client: gl-go/1 gccl-attempt-count/2"], 1),
        ([b"x-goog-api-client: gl-python/3"], UNMARKED),
        ([b"grpc-previous-rpc-attempts: 1"], 1),
        ([b"x-envoy-attempt-count: 1"], 0),
        ([b"x-envoy-attempt-count: 3"], 2),
        ([b"x-stainless-retry-count: 0", b"x-envoy-attempt-count: 2"], 1),
        ([b"x-stainless-retry-count: x"], UNMARKED),
        ([b"x-envoy-attempt-count: x"], UNMARKED),
    ],
)
def test_attempts(read: Reading, fields: list[bytes], attempt: int) -> None:
    """The highest attempt that any layer marks counts; unmarked stays unmarked."""
    assert read(*fields).attempt == attempt


@pytest.mark.parametrize(
    ("fields", "urgency"),
    [
        ([b"Priority: u=1, i"], 1),
        ([b"Priority: i"], 3),
        ([b"X-Governor-Priority: low", b"Priority: u=0"], 5),
        ([b"X-Governor-Priority: nonsense", b"Priority: u=0"], 0),
        ([b"X-Claude-Code-Request-Class: auxiliary"], 6),
        ([b"3gpp-Sbi-Message-Priority: 31"], 7),
    ],
)
def test_urgency(read: Reading, fields: list[bytes], urgency: int) -> None:
    """Governor's own hint first, then the standard one, then the clients'."""
    assert read(*fields).urgency == urgency


@pytest.mark.parametrize(
    ("fields", "patience_s"),
    [
        ([b"x-stainless-read-timeout: 600"], 600.0),
        ([b"x-stainless-timeout: 2.5"], 2.5),
        ([b"x-stainless-read-timeout: 600", b"x-envoy-expected-rq-timeout-ms: 1500"], 1.5),
        ([b"X-Governor-Deadline-Ms: 9000", b"grpc-timeout: 1S"], 9.0),
        ([b"X-Server-Timeout: 30"], 30.0),
        ([b"x-envoy-upstream-rq-timeout-ms: 250"], 0.25),
        ([b"amz-sdk-request: ttl=20010909T014650Z; attempt=2; max=3"], 10.0),
        ([b"x-stainless-read-timeout: NOT_GIVEN"], 0.0),
        ([b"X-Governor-Deadline-Ms: soon"], 0.0),
    ],
)
def test_patience(read: Reading, fields: list[bytes], patience_s: float) -> None:
    """The shortest promise counts, unless the caller tells Governor itself."""
    assert read(*fields).patience_ns == int(patience_s * S)


def test_malformed_hints_are_counted(read: Reading) -> None:
    """A hint that cannot be read is never an error; the data plane's counters show it."""
    read(b"x-stainless-retry-count: x", b"grpc-timeout: x", b"x-governor-priority: x")
    assert read.reader.n_malformed == read.stats.n_malformed_hints == 3


def test_the_fingerprint_is_the_shape_of_the_call(read: Reading) -> None:
    """Method, path and length tell two calls apart; query, port and credential do not."""
    same = read(A, b"Content-Length: 3", target=b"/a?x", method=b"POST").fingerprint
    assert same == read(B, b"Content-Length: 3", target=b"/a?y", port=7, method=b"POST").fingerprint
    others = [
        read(b"Content-Length: 4", target=b"/a", method=b"POST"),
        read(b"Content-Length: 3", target=b"/b", method=b"POST"),
        read(b"Content-Length: 3", target=b"/a", method=b"PUT"),
        read(b"Content-Length: 3", b"Mcp-Name: t", target=b"/a", method=b"POST"),
        read(b"Content-Length: 3", b"Mcp-Name: u", target=b"/a", method=b"POST"),
        read(b"Content-Length: 3", b"Mcp-Method: t", target=b"/a", method=b"POST"),
    ]
    assert len({same, *(arrival.fingerprint for arrival in others)}) == 7
    assert -(2**63) <= same < 2**63


def test_hashes_depend_on_the_salt() -> None:
    """Without the salt no value can be found from its hash."""
    one, other = Reading(), Reading()
    other.reader._salt = b"other"
    assert one(A).fingerprint != other(A).fingerprint
    one(A)
    other(A)
    assert one.identities.tenants.label(1) != other.identities.tenants.label(1)


def test_mcp_clients_cannot_retry(read: Reading) -> None:
    """They understand neither 429 nor Retry-After, from their first request on."""
    both = b"Accept: application/json, text/event-stream"
    assert not read(both, method=b"POST").can_retry
    assert not read(b"Mcp-Session-Id: x", method=b"POST").can_retry
    assert not read(b"Mcp-Protocol-Version: 2025-11-25", method=b"POST").can_retry
    assert not read(b"Mcp-Method: tools/call", method=b"POST").can_retry
    assert read(b"Accept: text/event-stream", method=b"POST").can_retry


def test_idle_streams_and_exempt_routes_are_never_held(read: Reading) -> None:
    """A GET for an event stream idles; a route may be exempt as a whole."""
    assert read(b"Accept: text/event-stream").is_exempt
    assert not read(b"Accept: text/event-stream", method=b"POST").is_exempt
    assert not read(b"Accept: application/json, text/event-stream").is_exempt
    head = head_of()
    assert read.reader.read(head, Peer("a"), 0, is_governed=False).is_exempt


@pytest.mark.parametrize(
    ("method", "is_exempt"),
    [
        (b"ping", True),
        (b"notifications/cancelled", True),
        (b"tools/call", False),
        (b"pings", False),
    ],
)
def test_pings_and_notifications_are_never_held(
    read: Reading, method: bytes, is_exempt: bool
) -> None:
    """As the header of MCP says; what costs the server work stands in line like any call."""
    assert read(b"Mcp-Method: " + method, method=b"POST").is_exempt == is_exempt


def test_nothing_read_is_kept(read: Reading) -> None:
    """After any number of requests neither reader, tables nor arrival hold a header's value."""
    secret = b"s3cr3t-value-that-must-not-stay"
    names = [b"Authorization", b"X-Governor-Flow", b"Session-Id", b"Mcp-Name", b"Mcp-Session-Id"]
    names += [b"Thread-Id", b"X-Claude-Code-Agent-Id", b"Priority", b"x-stainless-retry-count"]
    arrivals = [read(name + b": " + secret, target=b"/" + secret) for name in names]
    tables = [
        {slot: getattr(table, slot) for slot in fields_of(type(table))}
        for table in (read.identities.tenants, read.identities.flows, read.identities.trees)
    ]
    kept = pickle.dumps((tables, arrivals, read.reader.n_malformed))
    assert secret not in kept
    for arrival in arrivals:
        assert all(isinstance(getattr(arrival, slot), int) for slot in fields_of(Arrival))


def test_a_trace_id_of_zeros_is_none(read: Reading) -> None:
    """It is not valid (W3C Trace Context 3.2.2.3), and would make one tree of all who send it."""
    zeros = b"traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01"
    assert read(A, zeros).tree != read(A, zeros, port=2).tree
    assert read.reader.n_malformed == 2


def test_a_sub_agent_names_its_parent(read: Reading) -> None:
    """The main agent where none is named, else the agent that is; nobody before it was seen."""
    sub = (CLAUDE, b"X-Claude-Code-Agent-Id: a1")
    nested = (CLAUDE, b"X-Claude-Code-Agent-Id: a2", b"X-Claude-Code-Parent-Agent-Id: a1")
    assert read(A, *sub).parent_flow == 0
    main = read(A, CLAUDE)
    assert main.parent_flow == 0
    child = read(A, *sub)
    assert child.parent_flow == main.flow
    assert read(A, *nested).parent_flow == child.flow
    assert read(B, *sub).parent_flow == 0


def test_a_codex_thread_names_its_parent(read: Reading) -> None:
    """By the parent's thread id."""
    parent = read(A, b"Thread-Id: t1")
    child = read(A, b"Thread-Id: t2", b"X-Codex-Parent-Thread-Id: t1")
    assert child.parent_flow == parent.flow
    assert read(A, b"Thread-Id: t3", b"X-Codex-Parent-Thread-Id: t0").parent_flow == 0


def test_claimed_parents_take_no_place(read: Reading) -> None:
    """Whatever a caller invents, looking a parent up leaves the tables as they were."""
    for number in range(50):
        read(A, b"Thread-Id: t", b"X-Codex-Parent-Thread-Id: p%d" % number)
    assert len(read.identities.flows) == 1


def test_a_request_id_is_a_tree_from_its_second_request_on(read: Reading) -> None:
    """One that is passed on joins what carries it; one that is new says nothing."""
    same = b"X-Request-Id: r1"
    ports = [read(A, same, port=port).tree for port in range(1, 5)]
    assert ports[1] == ports[2] == ports[3] != ports[0]
    assert read(B, same).tree not in ports
    assert read(A, b"X-Request-Id: r2").tree == ports[0] == read(A).tree


def test_request_ids_made_anew_take_no_place(read: Reading) -> None:
    """Proxies number every request: no tree of the table is spent on that."""
    for number in range(1_000):
        read(A, b"X-Request-Id: %032x" % number)
    assert len(read.identities.trees) == 1


def test_a_request_id_is_the_weakest_key(read: Reading) -> None:
    """An agent that gives its name, a session or a trace is not split by request ids."""
    for name in (CLAUDE, b"X-Governor-Flow: f", b"Mcp-Session-Id: m"):
        for _ in range(2):
            assert read(A, name, b"X-Request-Id: r").tree == read(A, name).tree


def test_the_tenant_is_no_tree(read: Reading) -> None:
    """A key shared by many agents does not make them one intent."""
    assert len({read(A, port=port).tree for port in range(1, 20)}) == 19


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("unknown", []),
        ("other", [b"User-Agent: curl/8.5.0"]),
        ("other", [b"User-Agent: python-httpx/0.28.1", A]),
        ("stainless", [b"User-Agent: OpenAI/Python 3.52.0"]),
        ("stainless", [b"User-Agent: AsyncAnthropic/Python 2.11.0"]),
        ("stainless", [b"User-Agent: our-app/1", b"X-Stainless-Retry-Count: 0"]),
        ("stainless", [b"User-Agent: Anthropic/JS 0.60.0", b"X-Stainless-Retry-Count: 0"]),
        ("claude_code", [b"User-Agent: claude-cli/2.1.273 (external, cli)"]),
        ("claude_code", [CLAUDE, b"X-Stainless-Retry-Count: 0"]),
        ("codex", [b"User-Agent: codex_cli_rs/0.50.0 (Debian 12; x86_64)"]),
        ("vercel", [b"User-Agent: ai/5.0.44 ai-sdk/provider-utils/3.0.9"]),
        ("vercel", [b"User-Agent: our-app/1 ai-sdk/openai/2.0.1 runtime/node.js/22"]),
        ("opencode", [b"User-Agent: opencode/1.0.1 ai-sdk/openai/2.0.1"]),
        ("gemini_cli", [b"User-Agent: GeminiCLI/0.9.0 (linux; x64)"]),
        ("google", [b"User-Agent: google-genai-sdk/3.4.0 gl-python/3.11"]),
        ("google", [b"X-Goog-Api-Client: gl-python/3.11"]),
        ("boto", [b"User-Agent: Boto3/1.44.5 md/Botocore#1.44.5"]),
        ("boto", [b"User-Agent: our-app/1", b"amz-sdk-request: attempt=1; max=3"]),
        ("urllib3", [b"User-Agent: python-requests/2.34.2"]),
        ("urllib3", [b"User-Agent: python-urllib3/2.8.0"]),
        ("mcp", [b"User-Agent: python-httpx2/2.16.2", b"Mcp-Session-Id: m"]),
        ("openai_agents", [b"User-Agent: Agents/Python 0.24.0", b"X-Stainless-Retry-Count: 0"]),
        ("litellm", [b"User-Agent: litellm/1.80.0"]),
        ("envoy", [b"User-Agent: our-app/1", b"X-Envoy-Attempt-Count: 1"]),
    ],
)
def test_families(read: Reading, family: str, fields: list[bytes]) -> None:
    """What a program says of itself, else what only its library sends."""
    for _ in range(2):
        assert FAMILIES[read(*fields).family] == family


def test_user_agents_take_bounded_memory(read: Reading) -> None:
    """However many there are and however long."""
    for number in range(3 * MAX_AGENTS):
        read(b"User-Agent: curl/%d" % number)
    read(b"User-Agent: " + b"x" * 5_000)
    assert len(known_agents) <= MAX_AGENTS
    assert max(map(len, known_agents)) <= MAX_AGENT_BYTES
    assert FAMILIES[read(b"User-Agent: Boto3/" + b"1" * 5_000).family] == "boto"


def test_an_affinity_is_a_key_of_the_header_that_the_route_names() -> None:
    """The same value gives the same number, another value another one, none gives none."""
    reader = Reading().reader
    asking = Mock(is_governed=True, affinity=b"x-session")
    indifferent = Mock(is_governed=True, affinity=b"")

    def read(route: Mock, *fields: bytes) -> int:
        return reader(head_of(*fields), Peer("192.0.2.1", 1), route).affinity

    one, other = b"X-Session: one", b"X-Session: other"
    assert read(asking, one) == read(asking, one) != 0
    assert read(asking, other) != read(asking, one)
    assert read(asking) == read(indifferent, one) == 0
