"""The arrays of a run as the kernel's parts hand them to each other: borrowed, not counted.

*Rule of this file*: one function, from arrays that Python owns to views of the same memory.

*Theory*: a compiled function that takes an array out of a tuple counts a reference with an
atomic instruction, and another when it is done; with ten parts an event and six arrays a
part that is most of an event's time. A view made of an address owns nothing and
is not counted. It lives no longer than the call of the kernel, and the caller
keeps the arrays alive as long.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bench.simulate.compiled import part
from bench.simulate.state import CELL, NODE, RULES, UPSTREAM
from signals.kernel import IS_COMPILED, make_view


def _view_of(dtype: Any) -> Any:
    return make_view(numba.from_dtype(np.dtype(dtype))[::1])


if IS_COMPILED:
    _nodes, _upstreams = _view_of(NODE), _view_of(UPSTREAM)
    _cells, _rules = _view_of(CELL), _view_of(RULES)
    _int32, _int64 = _view_of(np.int32), _view_of(np.int64)
    _uint64, _float64 = _view_of(np.uint64), _view_of(np.float64)

    @part
    def detached(world: Any) -> Any:
        """Return views of the same memory."""
        heads, tails = world[6]
        n_cells, n_ranks = heads.shape
        timeline = world[9]
        n_rows, n_steps = timeline.shape
        return (
            _nodes(world[0].ctypes.data, len(world[0])),
            _int32(world[1].ctypes.data, len(world[1])),
            _int64(world[2].ctypes.data, len(world[2])),
            _int64(world[3].ctypes.data, len(world[3])),
            _upstreams(world[4].ctypes.data, len(world[4])),
            _cells(world[5].ctypes.data, len(world[5])),
            (
                _int32(heads.ctypes.data, heads.size).reshape((n_cells, n_ranks)),
                _int32(tails.ctypes.data, tails.size).reshape((n_cells, n_ranks)),
            ),
            _rules(world[7].ctypes.data, len(world[7])),
            _int64(world[8].ctypes.data, len(world[8])),
            _float64(timeline.ctypes.data, timeline.size).reshape((n_rows, n_steps)),
            _uint64(world[10].ctypes.data, len(world[10])),
        )

else:

    def detached(world: Any) -> Any:
        """Return the arrays: nothing is compiled, nothing is counted."""
        return world
