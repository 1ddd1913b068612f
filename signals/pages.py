"""Tables whose memory is taken page by page, as it is written to.

*Rule of this file*: how large, sparsely used arrays are allocated.

*Theory*: an anonymous mapping is zero and costs nothing until a page of it (4 KB) is written to.
``numpy.zeros`` promises less: what comes from recycled heap is cleared, hence resident, and from
4 MB on numpy asks the kernel for pages of 2 MB, so that the first byte of each costs all of it.

*Regime*: sparse tables. One that is full and read at random would be read a little faster from
large pages.
*Source*: mmap(2), madvise(2); measured: 64 upstreams before their first call 26.8 MB with
``numpy.zeros``, after one call each 14 MB more.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt


def make_table(n: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return ``n`` zeroed records; the mapping lives as long as the array."""
    n_bytes = max(n * dtype.itemsize, 1)
    pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    no_large_pages = getattr(mmap, "MADV_NOHUGEPAGE", None)
    if no_large_pages is not None:
        with contextlib.suppress(OSError):  # a kernel without large pages knows no such advice
            pages.madvise(no_large_pages)
    return np.frombuffer(pages, dtype, n)
