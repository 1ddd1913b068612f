"""Memory that is needed to start and never again: the compiler's code.

*Rule of this file*: gives back what the kernel can fetch again, never what cannot be.

*Theory*: loading compiled kernels runs a good part of LLVM, whose code (84 MB, some 54 MB of it
then resident) is not run again: every kernel is compiled before listening. Pages of a mapped
file's code are clean, so telling the kernel that they are not needed frees them at once; a
later use, if there is one, reads them again from the file.

*Regime*: Linux. Elsewhere, and where anything about it is unexpected, nothing happens.
*Source*: madvise(2), ``MADV_DONTNEED`` on private file mappings that were never written to.
*Considered and rejected*: also read-only data (relocated pages of it are dirty and would lose
what was written); ``MADV_PAGEOUT`` (needs Linux 5.4 and reclaims what others may share).
"""

from __future__ import annotations

import ctypes
from pathlib import Path

COMPILER = "libllvmlite"

_MADV_DONTNEED = 4
"""Linux's number."""


def find_code(name: str, maps: Path = Path("/proc/self/maps")) -> list[tuple[int, int]]:
    """Return (address, length) of a library's executable, read-only parts."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[1] == "r-xp" and Path(fields[5]).name.startswith(name):
            start, stop = (int(x, 16) for x in fields[0].split("-"))
            found.append((start, stop - start))
    return found


def release_compiler() -> int:
    """Let go of the compiler's code; return the bytes of address space told of."""
    n_bytes = 0
    for address, length in find_code(COMPILER):
        try:
            status = ctypes.CDLL(None).madvise(
                ctypes.c_void_p(address), ctypes.c_size_t(length), _MADV_DONTNEED
            )
        except (AttributeError, OSError):
            return n_bytes
        if status == 0:
            n_bytes += length
    return n_bytes
