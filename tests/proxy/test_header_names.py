"""Header names map to codes, whatever their spelling, in bounded memory."""

from __future__ import annotations

import pytest

from governor.errors import DownstreamError
from governor.proxy import header_names
from governor.proxy.header_names import DROPPED, HINT, MAX_SPELLINGS, REQUEST_CODES, code_of


def test_spelling_does_not_matter() -> None:
    """A name has one code in any case."""
    for name, code in REQUEST_CODES.items():
        assert code_of(name) == code_of(name.upper()) == code_of(name.title()) == code


def test_codes_of_hints_are_distinct() -> None:
    """Two headers share a code only where they share their fate."""
    codes = [code for code in REQUEST_CODES.values() if code & HINT]
    assert len(codes) == len(set(codes))


def test_unknown_names_pass_and_own_ones_do_not() -> None:
    """Everything is forwarded but what is for Governor."""
    assert code_of(b"X-Whatever") == 0
    assert code_of(b"X-Governor-Whatever") == DROPPED


@pytest.mark.parametrize("name", [b"", b"a b", b"a\x00", b"a:", b"\xe4", b"a\r"])
def test_what_is_no_token_is_refused(name: bytes) -> None:
    """RFC 9110 section 5.1."""
    with pytest.raises(DownstreamError, match="token"):
        code_of(name)


def test_memory_is_bounded() -> None:
    """Callers that invent names make the table start anew, not grow."""
    for n in range(3 * MAX_SPELLINGS):
        code_of(b"x-%d" % n)
    code_of(b"y" * 10_000)
    assert len(header_names.known_names) <= MAX_SPELLINGS
    assert b"y" * 10_000 not in header_names.known_names
    assert code_of(b"host") == header_names.HOST
