"""A Python integer as the compiled entrances take it: one machine word, at the price of one call.

*Rule of this file*: the type of an entrance's arguments, and how to read one.

*Theory*: numba unpacks an ``int64`` argument in four calls of the interpreter
(make it an int, read it, release it, ask for an error): 35 ns each, ten of them
on every arrival. An int's low 64 bits can be had in one call that cannot fail
for an int. Compiled callers hand over integers, booleans or floats as they are.

*Cost*: 15 ns an argument, measured with ten: 0.22 us a call instead of 0.37.
*Considered and rejected*: packing what a caller's requests have in common into
one word (50 ns more are won, and every layer would have to know the layout).
"""

from __future__ import annotations

from typing import Any

import numba.core.cgutils
import numba.core.typeconv.castgraph
import numba.extending
from llvmlite import ir
from numba import types as _types

from signals.kernel import IS_COMPILED

# without stubs, so unchecked here
types: Any = _types
extending: Any = numba.extending
cgutils: Any = numba.core.cgutils
Conversion: Any = numba.core.typeconv.castgraph.Conversion

_WORD: Any = ir.IntType(64)


class Number(types.Type):  # type: ignore[misc]
    """An int of Python, as a kernel's argument; :func:`as_int` reads it."""

    def __init__(self) -> None:
        super().__init__(name="Number")

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Compiled callers may hand over any plain number."""
        is_plain = isinstance(other, types.Integer | types.Boolean | types.Float)
        return Conversion.safe if is_plain else None


NUMBER = Number()


@extending.register_model(Number)
class _NumberModel(extending.models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, number: Any) -> None:
        super().__init__(manager, number, _WORD)


@extending.unbox(Number)
def _unbox_number(number: Any, value: Any, c: Any) -> Any:
    """Take the low 64 bits; all ones can mean an error, and only then is asked for one."""
    signature = ir.FunctionType(_WORD, [c.pyapi.pyobj])
    name = "PyLong_AsUnsignedLongLongMask"
    read = cgutils.get_or_insert_function(c.builder.module, signature, name)
    word = c.builder.call(read, [value])
    has_failed = cgutils.alloca_once_value(c.builder, cgutils.false_bit)
    all_ones = c.builder.icmp_unsigned("==", word, _WORD(-1))
    with c.builder.if_then(all_ones, likely=False):
        c.builder.store(c.pyapi.c_api_error(), has_failed)
    return extending.NativeValue(word, is_error=c.builder.load(has_failed))


@extending.lower_cast(types.Integer, Number)
@extending.lower_cast(types.Boolean, Number)
@extending.lower_cast(types.Float, Number)
def _cast_number(context: Any, builder: Any, given: Any, number: Any, value: Any) -> Any:
    return context.cast(builder, value, given, types.int64)


@extending.intrinsic
def _as_int_compiled(typingctx: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return arguments[0]

    return types.int64(NUMBER), generate


def _as_int_plain(number: int) -> int:
    """Without a compiler it is one already."""
    return number


as_int: Any = _as_int_compiled if IS_COMPILED else _as_int_plain
"""Read a :data:`NUMBER`."""
