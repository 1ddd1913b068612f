"""Which requests are the same: one upstream call may answer them all.

*Rule of this file*: request lines and response fields in, a key or a verdict
out. No connection, no clock.

*Theory*: two GETs may share an answer if nothing that the upstream sees could
make it answer them differently. What could is not for a proxy to guess, so the
key is everything that goes on to the upstream: method, whole target, every end
to end field with its value, the credentials among them, and whose address
Governor states in ``X-Forwarded-For``. Left out are only ids that differ from
request to request by design and say nothing about what is asked (``NEUTRAL``).

The answer has the last word: fields named by ``Vary`` must agree, the neutral
ones too; ``Vary: *`` and ``Set-Cookie`` are for one caller alone.

An event stream is not shared: a subscription is its subscriber's. Nor is what
switches protocols, has a body, or comes in HTTP/1.0 (which could not be sent
the same bytes).

*Source*: RFC 9110 section 12.5.5 (Vary), RFC 9111 section 4 (collapsed requests).
*Considered and rejected*: a list of the fields that matter (``Accept``, ``Range``,
``Cookie``, ...): a service's own ``X-Tenant`` would not stand in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

METHODS: Final = frozenset((b"GET", b"HEAD"))
"""Safe and without a body."""

NEUTRAL: Final = frozenset(
    (
        b"amz-sdk-invocation-id",
        b"amz-sdk-request",
        b"b3",
        b"grpc-previous-rpc-attempts",
        b"sentry-trace",
        b"traceparent",
        b"tracestate",
        b"uber-trace-id",
        b"x-amzn-trace-id",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-spanid",
        b"x-b3-traceid",
        b"x-client-request-id",
        b"x-cloud-trace-context",
        b"x-correlation-id",
        b"x-datadog-parent-id",
        b"x-datadog-sampling-priority",
        b"x-datadog-trace-id",
        b"x-envoy-attempt-count",
        b"x-request-id",
        b"x-stainless-retry-count",
    )
)
"""Ids of tracing and of retries: they name a request and do not shape its answer."""

_EVENTS: Final = b"text/event-stream"
_DECIDING: Final = re.compile(rb"\r\n(vary|set-cookie)[ \t]*:([^\r\n]*)", re.IGNORECASE)

Field = tuple[bytes, bytes]
Key = tuple[bytes, ...]


def share_key(
    method: bytes, target: bytes, caller: Iterable[bytes], lines: Iterable[bytes]
) -> Key | None:
    """Return what a request has in common with those it may share an answer with, or None.

    Parameters
    ----------
    method, target : bytes
        The target with its query.
    caller : iterable of bytes
        What Governor itself tells the upstream of the caller (address, scheme).
    lines : iterable of bytes
        The field lines that go on to the upstream, names as written.

    Examples
    --------
    >>> a = share_key(b"GET", b"/x", (b"::1",), [b"Host: t", b"X-Request-Id: 1"])
    >>> b = share_key(b"GET", b"/x", (b"::1",), [b"host:t", b"X-Request-Id: 2"])
    >>> a == b
    True
    """
    if method not in METHODS:
        return None
    kept = []
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"accept" and _EVENTS in value.lower():
            return None
        if name not in NEUTRAL:
            kept.append(b"%b:%b" % (name, value.strip(b" \t")))
    # Stable by name: the order of different fields has no meaning, that of equal ones has.
    kept.sort(key=lambda line: line.partition(b":")[0])
    return (method, target, *caller, *kept)


def read_sharing(head: bytes) -> frozenset[bytes] | None:
    """Return the fields that a response's ``Vary`` names; None if it is for one caller alone.

    Examples
    --------
    >>> sorted(read_sharing(b"HTTP/1.1 200 OK\\r\\nVary: Accept, Traceparent\\r\\n\\r\\n"))
    [b'accept', b'traceparent']
    >>> read_sharing(b"HTTP/1.1 200 OK\\r\\nset-cookie: a=1\\r\\n\\r\\n") is None
    True
    """
    names: set[bytes] = set()
    for match in _DECIDING.finditer(head):
        if match[1].lower() == b"set-cookie":
            return None
        names.update(name.strip(b" \t").lower() for name in match[2].split(b","))
    names.discard(b"")
    return None if b"*" in names else frozenset(names)


def agree(names: frozenset[bytes], one: Iterable[Field], other: Iterable[Field]) -> bool:
    """Whether two requests have the same values of the fields ``names``."""
    if not names:
        return True
    return _values(names, one) == _values(names, other)


def _values(names: frozenset[bytes], fields: Iterable[Field]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        lower = name.lower()
        if lower in names:
            found.setdefault(lower, []).append(value)
    return found
