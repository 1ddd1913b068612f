"""Durations, sizes, addresses and endpoint URLs as text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("2s", 2.0),
        ("1m", 60.0),
        ("1h", 3600.0),
        ("1.5s", 1.5),
        (" 2 s ", 2.0),
        ("0s", 0.0),
        ("7", 7.0),
        (7, 7.0),
        (0.25, 0.25),
    ],
)
def test_durations_are_read_in_every_unit(text: object, seconds: float) -> None:
    """A duration is a number with ms, s, m or h; a bare number is seconds."""
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "2 days", "-1s", "1m30s", "1e3s", "٣s", True, None, float("nan"), float("inf")],
)
def test_what_is_not_a_duration_is_refused_with_the_allowed_form(text: object) -> None:
    """A refused duration says the units that there are."""
    with pytest.raises(ValueError, match="200ms, 2s, 1m or 1h"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    "read", [parse_duration_s, parse_size_bytes, parse_address, parse_endpoint]
)
def test_no_message_repeats_the_value(read: Callable[[str], object]) -> None:
    """A refused value may be a secret from the environment."""
    with pytest.raises(ValueError, match="must") as caught:
        read("hunter2 swordfish")
    assert "swordfish" not in str(caught.value)


@given(st.integers(0, 10**9))
def test_a_formatted_duration_reads_back_the_same(ms: int) -> None:
    """Writing and reading a duration of whole milliseconds changes nothing."""
    assert parse_duration_s(format_duration(ms / 1_000)) == ms / 1_000


@pytest.mark.parametrize("seconds", [0.0005, 0.000125])
def test_a_duration_below_a_millisecond_reads_back_the_same(seconds: float) -> None:
    """Precision is kept below a millisecond too."""
    assert parse_duration_s(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("64KiB", 65_536), ("1MiB", 1 << 20), ("1GiB", 1 << 30), ("512B", 512), ("7", 7), (7, 7)],
)
def test_sizes_are_read_in_every_unit(text: object, n_bytes: int) -> None:
    """A size is a whole number with B, KiB, MiB or GiB; a bare number is bytes."""
    assert parse_size_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["64KB", "1.5MiB", "-1", "", True, 1.0, None])
def test_what_is_not_a_size_is_refused_with_the_allowed_form(text: object) -> None:
    """Ambiguous units (KB) and fractions are refused."""
    with pytest.raises(ValueError, match="64KiB"):
        parse_size_bytes(text)


@given(st.integers(0, 1 << 40))
def test_a_formatted_size_reads_back_the_same(n_bytes: int) -> None:
    """Writing and reading a size changes nothing."""
    assert parse_size_bytes(format_size(n_bytes)) == n_bytes


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        ("[0:0:0:0:0:0:0:1]:80", Address("::1", 80)),
        ("LocalHost:65535", Address("localhost", 65535)),
        ("my_service.local:80", Address("my_service.local", 80)),
    ],
)
def test_addresses_are_taken_apart(text: str, address: Address) -> None:
    """An address is host and port, IPv6 in brackets, names in lower case."""
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["8080", ":8080", "host", "host:", "host:x", "host:65536", "::1:80", "[::1]", "[x]:1"]
    + ["999.1.1.1:80", "a b:1", "-a:1", "host:８０", "http://host:80"],
)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    """Anything but HOST:PORT is refused with an example of what is allowed."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:8080"):
        parse_address(text)


def test_a_url_is_told_from_a_bad_ipv6_address() -> None:
    """Who gives a URL where an address belongs is told what to leave out."""
    with pytest.raises(ValueError, match="without http://"):
        parse_address("http://127.0.0.1:9090")


@pytest.mark.parametrize(
    ("url", "endpoint", "authority"),
    [
        ("http://127.0.0.1:9000", EndpointAddress(False, "127.0.0.1", 9000), "127.0.0.1:9000"),
        ("http://a.example/", EndpointAddress(False, "a.example", 80), "a.example"),
        ("https://a.example", EndpointAddress(True, "a.example", 443), "a.example"),
        ("https://a.example:8443", EndpointAddress(True, "a.example", 8443), "a.example:8443"),
        ("http://[::1]:9000", EndpointAddress(False, "::1", 9000), "[::1]:9000"),
        ("http://[::1]", EndpointAddress(False, "::1", 80), "[::1]"),
        ("HTTP://A.Example:80", EndpointAddress(False, "a.example", 80), "a.example"),
    ],
)
def test_endpoints_are_taken_apart(url: str, endpoint: EndpointAddress, authority: str) -> None:
    """An endpoint is scheme, host and port; Host omits a port that the scheme implies."""
    assert parse_endpoint(url) == endpoint
    assert endpoint.authority == authority
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("127.0.0.1:9000", "must start with http://"),
        ("ftp://a", "must start with http://"),
        ("http:a", "must start with http://"),
        ("http://", "host name"),
        ("http://a/v1", "must end after the port"),
        ("http://a?x=1", "query"),
        ("http://a#f", "fragment"),
        ("http://u:p@a", "user name"),
        ("http://a:0", "port"),
        ("http://a:", "port"),
        ("http://a:99999", "port"),
        ("http://a:b", "port"),
        ("http://::1:80", "http"),
        ("http://a b", "spaces"),
        ("http://a\n", "spaces"),
        ("http://ä", "xn--"),
        ("http://256.1.1.1", "IPv4"),
        ("http://[::g]", "http"),
    ],
)
def test_an_endpoint_with_anything_more_is_refused_with_the_reason(url: str, why: str) -> None:
    """Paths, queries, credentials and bad hosts are refused, each saying why."""
    with pytest.raises(ValueError, match=why):
        parse_endpoint(url)
