"""Connection says what ends at this hop, but never what the upstream must see."""

from __future__ import annotations

from governor.proxy import connection_options
from governor.proxy.connection_options import NO_OPTIONS, read_connection
from governor.proxy.header_names import ESSENTIAL


def test_options_are_read_in_any_case() -> None:
    """Tokens are case-insensitive and separated by commas and white space."""
    options = read_connection(b" Close,\tKEEP-ALIVE ,Upgrade,te,X-A,,")
    assert options.has_close
    assert options.has_keep_alive
    assert options.has_upgrade
    assert options.named == {b"x-a"}
    assert not options.is_plain


def test_nothing_essential_can_be_named() -> None:
    """What routes, frames or authenticates a request is not an option of a connection."""
    assert read_connection(b", ".join(ESSENTIAL)).named == frozenset()


def test_what_is_no_token_is_ignored() -> None:
    """Garbage names nothing."""
    assert read_connection(b"a b, c;d, \xff") == NO_OPTIONS


def test_memory_is_bounded() -> None:
    """Callers that invent options fill no memory."""
    for n in range(3_000):
        read_connection(b"x-%d" % n)
    read_connection(b"y," * 1_000)
    assert len(connection_options._known) <= 512
