"""Authorities and absolute targets are read strictly and never tidied."""

from __future__ import annotations

import doctest

import pytest

from governor.errors import DownstreamError
from governor.proxy import targets
from governor.proxy.targets import read_authority, split_absolute


def test_examples() -> None:
    """The examples in the docstrings hold."""
    assert doctest.testmod(targets).failed == 0


@pytest.mark.parametrize("value", [b"", b"a:b", b"a\x00", b"a%00", b":80", b"a:80:80", b"\xe4"])
def test_what_is_no_authority_is_refused(value: bytes) -> None:
    """A host is letters, digits and four signs, or an address in brackets."""
    with pytest.raises(DownstreamError) as caught:
        read_authority(value)
    assert caught.value.reason == "bad_host"


def test_known_hosts_are_bounded() -> None:
    """Callers that invent hosts fill no memory."""
    for n in range(3_000):
        read_authority(b"h%d.example" % n)
    assert len(targets._hosts) <= 1_024


@pytest.mark.parametrize("target", [b"a:80", b"ws://a/", b"http:/a", b"http//a", b""])
def test_other_forms_are_refused(target: bytes) -> None:
    """Neither authority form nor other schemes are for a reverse proxy."""
    with pytest.raises(DownstreamError) as caught:
        split_absolute(target, b"GET")
    assert caught.value.reason == "bad_target"
