"""The attributes of a class, compiled or not."""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType


def fields_of(kind: type) -> tuple[str, ...]:
    """Return the names of what its instances hold, in order of the alphabet."""
    kinds = (MemberDescriptorType, GetSetDescriptorType)  # __slots__, and what mypyc makes of them
    names = {
        name for x in kind.__mro__[:-1] for name, held in vars(x).items() if isinstance(held, kinds)
    }
    return tuple(sorted(names - {"__dict__", "__weakref__"}))
