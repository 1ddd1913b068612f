"""Sampling: held to the SDK's own samplers; what a traceparent may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import sampling as sdk
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from governor.control.telemetry.sampling import Sampler, make_sampler, read_traceparent

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"

TWINS = {
    "always_on": sdk.ALWAYS_ON,
    "always_off": sdk.ALWAYS_OFF,
    "traceidratio": sdk.TraceIdRatioBased(0.3),
    "parentbased_always_on": sdk.DEFAULT_ON,
    "parentbased_always_off": sdk.DEFAULT_OFF,
    "parentbased_traceidratio": sdk.ParentBased(sdk.TraceIdRatioBased(0.3)),
}


@pytest.mark.parametrize("name", TWINS)
@given(trace_id=st.integers(1, 2**128 - 1), is_sampled=st.booleans())
def test_each_sampler_chooses_as_the_sdk_does(name: str, trace_id: int, is_sampled: bool) -> None:
    """For every trace id and either flag of the caller, the choice is the SDK's."""
    sampler, warning = make_sampler(name, "0.3")
    flags = TraceFlags(int(is_sampled))
    parent = set_span_in_context(NonRecordingSpan(SpanContext(trace_id, 7, True, flags)))
    expected = TWINS[name].should_sample(parent, trace_id, "x").decision.is_sampled()
    chosen = sampler(b"00-%032x-%016x-%02x" % (trace_id, 7, is_sampled))
    assert ((chosen is not None), warning) == (expected, "")
    if chosen is not None:
        assert (chosen.trace_id, chosen.parent_id) == (trace_id, 7)


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.0, 0, 0), (0.25, 400, 600), (1.0, 2000, 2000)]
)
def test_without_a_caller_the_share_decides(share: float, low: int, high: int) -> None:
    """Of 2000 requests without a traceparent about the share is sampled, each its own trace."""
    sampler = Sampler(True, share, seed=1)
    chosen = [ids for _ in range(2000) if (ids := sampler(b"")) is not None]
    assert low <= len(chosen) <= high
    assert len({ids.trace_id for ids in chosen}) == len(chosen)
    assert all(ids.parent_id == 0 and ids.span_id for ids in chosen)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        b"00-" + TRACE + b"-" + SPAN,
        b"00-" + TRACE.upper() + b"-" + SPAN + b"-01",
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"00-" + TRACE + b"-" + SPAN + b"-01-more",
        b"ff-" + TRACE + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + SPAN + b"-01\n",
    ],
)
def test_a_malformed_traceparent_is_none(value: bytes) -> None:
    """What the standard calls invalid says nothing; the request begins a trace of its own."""
    assert read_traceparent(value) is None
    ids = Sampler(True, 1.0, seed=1)(value)
    assert ids is not None
    assert ids.parent_id == 0


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """A version above 00 may say more; its first four fields are the same."""
    parent = read_traceparent(b"01-" + TRACE + b"-" + SPAN + b"-03-later")
    assert parent == (int(TRACE, 16), int(SPAN, 16), True)


@pytest.mark.parametrize(
    ("name", "argument", "word"),
    [
        ("jaeger_remote", "", "jaeger_remote"),
        ("traceidratio", "2", "0 to 1"),
        ("traceidratio", "x", "x"),
    ],
)
def test_what_is_not_understood_is_said(name: str, argument: str, word: str) -> None:
    """An unknown sampler or share is named, and everything is sampled."""
    sampler, warning = make_sampler(name, argument)
    assert word in warning
    assert sampler(b"") is not None


def test_a_share_beyond_its_bounds_is_refused() -> None:
    """A share is from 0 to 1."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        Sampler(True, 1.5)
