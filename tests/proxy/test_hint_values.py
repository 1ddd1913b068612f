"""Hints are read as their senders write them, clamped, and never raise."""

from __future__ import annotations

import doctest
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.proxy import hint_values
from governor.proxy.hint_values import MAX_ATTEMPT, MAX_PATIENCE_NS

ATTEMPTS = (hint_values.read_count, hint_values.read_amz_attempt, hint_values.read_google_attempt)
PATIENCE = (
    hint_values.read_millis,
    hint_values.read_seconds,
    hint_values.read_grpc_timeout,
    lambda value: hint_values.read_amz_ttl(value, 1_000_000_000.0),
)
URGENCY = (
    hint_values.read_urgency,
    hint_values.read_own_priority,
    hint_values.read_request_class,
    hint_values.read_sbi_priority,
)
Reader = Callable[[bytes], int | None]

_BYTES = st.binary(max_size=24) | st.text("0123456789.;=, uHMSmntlTZaeip/-+_", max_size=40).map(
    str.encode
)


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(hint_values).failed == 0


@pytest.mark.parametrize(
    ("readers", "low", "high"),
    [(ATTEMPTS, 0, MAX_ATTEMPT), (PATIENCE, 1, MAX_PATIENCE_NS), (URGENCY, 0, 7)],
)
@given(value=_BYTES)
def test_whatever_comes_is_none_or_in_range(
    readers: tuple[Reader, ...], low: int, high: int, value: bytes
) -> None:
    """A hint never raises and never leaves its range."""
    for reader in readers:
        got = reader(value)
        assert got is None or low <= got <= high


@pytest.mark.parametrize(
    ("value", "patience_s"),
    [
        (b"ttl=20010909T014650Z; attempt=2; max=3", 10.0),
        (b"attempt=2; ttl=20010909T014650Z", 10.0),
        (b"ttl=20010909T014630Z; attempt=2", None),
        (b"ttl=20011309T014650Z; attempt=2", None),
        (b"ttl=2001-09-09; attempt=2", None),
    ],
)
def test_amz_ttl_is_an_instant(value: bytes, patience_s: float | None) -> None:
    """Patience is what is left until the ttl; one that has passed tells nothing."""
    got = hint_values.read_amz_ttl(value, 1_000_000_000.0)
    assert got == (None if patience_s is None else patience_s * 1e9)


def test_long_patience_is_clamped() -> None:
    """More than a day means the same as a day."""
    assert hint_values.read_millis(b"999999999999999") == MAX_PATIENCE_NS
    assert hint_values.read_seconds(b"99999999999") == MAX_PATIENCE_NS
    assert hint_values.read_grpc_timeout(b"99999999H") == MAX_PATIENCE_NS


def test_claude_code_classes() -> None:
    """Somebody waits for the main turn; nobody waits for an auxiliary one."""
    read = hint_values.read_request_class
    assert read(b"main") == 2
    assert read(b"auxiliary") == 6
    assert read(b"else") is None
