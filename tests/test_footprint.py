"""What is given back after the start, and that all goes on as before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from governor.footprint import COMPILER, find_code, release_compiler
from signals import warm_up
from signals.kernel import IS_COMPILED

MAPS = """\
7f00000000-7f00001000 r--p 00000000 fe:00 53 /lib/libllvmlite.so
7f00001000-7f00004000 r-xp 00001000 fe:00 53 /lib/libllvmlite.so
7f00004000-7f00005000 rw-p 00004000 fe:00 53 /lib/libllvmlite.so
7f00005000-7f00006000 r-xp 00000000 fe:00 54 /lib/with space/libllvmlite.so.1
7f00006000-7f00007000 r-xp 00000000 fe:00 55 /lib/libc.so.6
7f00007000-7f00008000 rw-p 00000000 00:00 0
"""


def test_only_code_of_the_named_library_is_found(tmp_path: Path) -> None:
    """Neither its data, nor other libraries, nor what has no file."""
    maps = tmp_path / "maps"
    maps.write_text(MAPS)
    assert find_code(COMPILER, maps) == [(0x7F00001000, 0x3000), (0x7F00005000, 0x1000)]


def test_without_a_list_of_mappings_nothing_is_found(tmp_path: Path) -> None:
    """Other systems have none."""
    assert find_code(COMPILER, tmp_path / "none") == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives pages back this way")
@pytest.mark.skipif(not IS_COMPILED, reason="no compiler was used")
def test_kernels_run_on_and_the_compiler_still_works() -> None:
    """What was let go is fetched again when it is needed."""
    warm_up()
    assert release_compiler() > 0
    warm_up()
    import numba

    assert numba.njit(lambda x: x + 1)(1) == 2
