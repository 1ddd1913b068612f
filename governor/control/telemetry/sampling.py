"""Which requests become spans, and under which ids: whose trace, which parent.

*Rule of this file*: integers; nothing of OpenTelemetry is imported, so that a
request that is not sampled costs a look at its traceparent and no more. What
came in is read, never rewritten: the upstream gets it byte for byte.

*Theory*: the six standard samplers are two choices. Heed the caller: where it
sent a traceparent, its flag decides. And a bound: of those for whom nobody has
decided, a trace is sampled if the low 64 bits of its id are below it; all
services with the same share choose the same traces.

*Source*: W3C Trace Context, section 3.2 (traceparent); OpenTelemetry
specification, "Tracing SDK", built-in samplers. A test holds the choices to the
SDK's own samplers.
"""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LOW_BITS = (1 << 64) - 1

_SHARES = {
    "always_on": (False, 1.0),
    "always_off": (False, 0.0),
    "traceidratio": (False, -1.0),
    "parentbased_always_on": (True, 1.0),
    "parentbased_always_off": (True, 0.0),
    "parentbased_traceidratio": (True, -1.0),
}
"""Name -> whether the caller's choice is heeded, and the share; -1: the sampler's argument."""

DEFAULT = "parentbased_always_on"


class Parent(NamedTuple):
    """What a traceparent says."""

    trace_id: int
    span_id: int
    is_sampled: bool


class SpanIds(NamedTuple):
    """The ids of a request that becomes a span; ``parent_id`` 0: it begins its trace."""

    trace_id: int
    span_id: int
    parent_id: int


def read_traceparent(value: bytes) -> Parent | None:
    """Return what a traceparent says; None if it is malformed or says nothing.

    Examples
    --------
    >>> read_traceparent(b"00-000000000000000000000000000000ab-00000000000000cd-01")
    Parent(trace_id=171, span_id=205, is_sampled=True)
    >>> read_traceparent(b"00-0-0-0")
    """
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest):
        return None
    parent = Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & 1))
    return parent if parent.trace_id and parent.span_id else None


class Sampler:
    """Decides, for each finished request, whether it becomes a span.

    Parameters
    ----------
    heeds_parent : bool
        The caller's choice, where it made one, is followed.
    share : float
        Of the others, 0 to 1.
    seed : int, optional
        Of the ids; by default from the operating system.
    """

    __slots__ = ("_bound", "_draw", "_heeds_parent")

    def __init__(self, heeds_parent: bool, share: float, seed: int | None = None) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share is {share}: must be from 0 to 1")
        self._heeds_parent = heeds_parent
        self._bound = round(share * (_LOW_BITS + 1))
        self._draw = Random(seed).getrandbits

    def __call__(self, traceparent: bytes) -> SpanIds | None:
        """Return the ids under which a request is sent; None if it is not sampled."""
        parent = read_traceparent(traceparent) if traceparent else None
        if parent is None:
            trace_id = self._draw(128)
            if (trace_id & _LOW_BITS) >= self._bound:
                return None
            return SpanIds(trace_id or 1, self._draw(64) or 1, 0)
        is_sampled = (
            parent.is_sampled if self._heeds_parent else (parent.trace_id & _LOW_BITS) < self._bound
        )
        if not is_sampled:
            return None
        return SpanIds(parent.trace_id, self._draw(64) or 1, parent.span_id)


def make_sampler(name: str, argument: str) -> tuple[Sampler, str]:
    """Return a standard sampler by its name, and a word of warning if it is not what was asked."""
    warning = ""
    if name not in _SHARES:
        warning = f"OTEL_TRACES_SAMPLER={name}: not known here; {DEFAULT} is used"
        name = DEFAULT
    heeds_parent, share = _SHARES[name]
    if share < 0.0:
        share = 1.0
        try:
            asked = float(argument or "1")
        except ValueError:
            asked = -1.0
        if 0.0 <= asked <= 1.0:
            share = asked
        else:
            warning = f"OTEL_TRACES_SAMPLER_ARG={argument}: must be from 0 to 1; 1 is used"
    return Sampler(heeds_parent, share), warning
