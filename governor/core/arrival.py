"""What the gate is told about one request: integers and flags, never content.

*Rule of this file*: only numbers and booleans. No header value, no path, no
body byte can be carried by these types; ``tests/proxy/test_arrivals.py`` holds
that line.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from policies.switches import NO_SWITCHES

URGENCY_DEFAULT: Final = 3
"""RFC 9218 section 4.1: the default urgency; 0 is the most urgent, 7 the least."""

UNMARKED: Final = -1
"""Attempt number of a request whose headers say nothing about retries."""


@mypyc_attr(acyclic=True, free_list_len=1)  # numbers only, made and gone with each request
class Arrival:
    """The shape of one request as it reaches the gate.

    Parameters
    ----------
    tenant, flow, tree : int
        Indices in the identity tables (:mod:`governor.core.identity`); 0 is the
        shared overflow entry.
    fingerprint : int
        Keyed 64-bit hash of method, path shape and content length; equal for a
        caller's repeat of the same call.
    attempt : int
        0 for fresh demand, >= 1 for a marked retry, ``UNMARKED`` if unknown.
    urgency : int
        RFC 9218 urgency, 0..7.
    patience_ns : int
        How long the caller said it will wait for a first byte; 0 if unknown.
    is_deadline : bool
        Whether ``patience_ns`` bounds all tries of the call together, rather than each.
    kind : int
        Keyed 8-bit hash of method and path shape: what the call is like
        (:mod:`policies.contain`).
    family : int
        The client library, an index of ``signals.families.FAMILIES``; 0 if unknown.
    parent_flow : int
        The flow that made this one, as a header said; 0 if none did.
    is_identified : bool
        Whether ``flow`` comes from a header that names an agent, rather than
        from the connection.
    is_exempt : bool
        Never waits and is never answered by the gate (health checks, event
        streams that idle); it takes no place of the limit and teaches it nothing.
    source : int
        Keyed hash of the peer's address, of a call that names the trace it is part of; 0 of others.
    affinity : int
        Keyed 64-bit hash of what should stay with one endpoint; 0 for nothing.
    can_retry : bool
        Whether the caller understands 429/503 with ``Retry-After``. Callers
        that do not (MCP) are made to wait as long as that can work.
    switches : int
        What its route says of the policies (:mod:`policies.switches`); -1: as the file says.
    max_wait_ns : int
        Longest wait that its route allows; 0: the upstream's.
    """

    __slots__ = (
        "affinity",
        "attempt",
        "can_retry",
        "family",
        "fingerprint",
        "flow",
        "is_deadline",
        "is_exempt",
        "is_identified",
        "kind",
        "max_wait_ns",
        "parent_flow",
        "patience_ns",
        "source",
        "switches",
        "tenant",
        "tree",
        "urgency",
    )

    def __init__(
        self,
        tenant: int = 0,
        flow: int = 0,
        tree: int = 0,
        fingerprint: int = 0,
        attempt: int = UNMARKED,
        urgency: int = URGENCY_DEFAULT,
        patience_ns: int = 0,
        is_identified: bool = False,
        is_exempt: bool = False,
        can_retry: bool = True,
        family: int = 0,
        parent_flow: int = 0,
        is_deadline: bool = False,
        kind: int = 0,
        affinity: int = 0,
        switches: int = NO_SWITCHES,
        max_wait_ns: int = 0,
        source: int = 0,
    ) -> None:
        self.tenant = tenant
        self.flow = flow
        self.tree = tree
        self.fingerprint = fingerprint
        self.attempt = attempt
        self.urgency = urgency
        self.patience_ns = patience_ns
        self.is_identified = is_identified
        self.is_exempt = is_exempt
        self.can_retry = can_retry
        self.family = family
        self.parent_flow = parent_flow
        self.is_deadline = is_deadline
        self.kind = kind
        self.affinity = affinity
        self.switches = switches
        self.max_wait_ns = max_wait_ns
        self.source = source

    def copy(self) -> Arrival:
        """Return the same facts again, for another request that is like this one."""
        return Arrival(
            self.tenant,
            self.flow,
            self.tree,
            self.fingerprint,
            self.attempt,
            self.urgency,
            self.patience_ns,
            self.is_identified,
            self.is_exempt,
            self.can_retry,
            self.family,
            self.parent_flow,
            self.is_deadline,
            self.kind,
            self.affinity,
            self.switches,
            self.max_wait_ns,
            self.source,
        )
