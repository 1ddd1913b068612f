"""Numbers into kernels: what Python hands over is what arrives, or the call fails loudly."""

from __future__ import annotations

from typing import Any, cast

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import types

from signals.kernel import IS_COMPILED, get_entry
from signals.number import NUMBER, as_int

needs_compiler = pytest.mark.skipif(not IS_COMPILED, reason="there is nothing to compile")


@cast(Any, numba).njit(types.int64(NUMBER, NUMBER))
def subtract(a: int, b: int) -> int:
    """Tells its arguments apart."""
    return as_int(a) - as_int(b)  # type: ignore[no-any-return]


@cast(Any, numba).njit(types.int64(types.int32, types.boolean, types.float64))
def call_from_compiled(a: int, b: bool, c: float) -> int:
    """Hands over what is no int64."""
    return subtract(a, b) * 100 + subtract(c, 0)


@needs_compiler
@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_every_word_arrives(n: int) -> None:
    """All 64 bits, the one that doubles as the sign of an error included."""
    assert get_entry(subtract)(n, 0) == n


@needs_compiler
def test_longer_ints_lose_their_high_bits() -> None:
    """An unsigned 64-bit hash is taken as it is; nothing overflows."""
    entry = get_entry(subtract)
    assert entry((1 << 64) - 3, 0) == -3
    assert entry((1 << 200) + 5, True) == 4


@needs_compiler
@pytest.mark.parametrize("wrong", ["7", None, 1.5])
def test_what_is_no_int_is_refused(wrong: Any) -> None:
    """As a TypeError of the caller, whichever argument it is."""
    with pytest.raises(TypeError):
        get_entry(subtract)(wrong, 1)
    with pytest.raises(TypeError):
        get_entry(subtract)(1, wrong)


def test_compiled_callers_hand_over_any_plain_number() -> None:
    """Narrow integers, flags and floats without a fraction."""
    assert call_from_compiled(8, True, 5.0) == 705
