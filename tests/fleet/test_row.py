"""Rows and words as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from governor.fleet.row import pack_changes, size_of, unpack_changes
from governor.fleet.word import Found, pack_word, unpack_word
from policies.limit.phases import Kind

VALUES = st.lists(st.integers(-(2**53), 2**53), min_size=6, max_size=6)


@given(before=VALUES, now=VALUES)
def test_changes_make_the_new_row_of_the_old(before: list[int], now: list[int]) -> None:
    """What is told is what changed, and no more."""
    row, changes = list(before), unpack_changes(pack_changes(before, now))
    for idx, value in changes:
        assert row[idx] != value
        row[idx] = value
    assert row == now


def test_a_row_stays_small() -> None:
    """A whole row of one endpoint is about a kilobyte; each further endpoint takes 400 bytes."""
    assert 10 * size_of(1) < 1_100
    assert size_of(3) - size_of(2) == 42


@given(
    found=st.lists(
        st.builds(
            Found,
            st.booleans(),
            st.integers(1, 60_000),
            st.floats(1.0, 1e6),
            st.integers(0, 2**32 - 1),
            st.sampled_from(Kind),
            st.integers(0, 60_000),
        ),
        min_size=1,
    )
)
def test_a_word_comes_back_whole(found: list[Found]) -> None:
    """Every endpoint's limit, level, knee and ceiling, and which phase is open."""
    assert unpack_word(pack_word(found), len(found)) == found


@given(word=st.binary(max_size=60))
def test_what_is_no_word_says_nothing(word: bytes) -> None:
    """Garbage, another number of endpoints, or nonsense in place of a limit: no word."""
    for found in unpack_word(word, 2):
        assert found.limit >= 1
        assert 1.0 <= found.level < 1e9
