"""A page of bytes that one process writes over and over and others read whole.

*Rule of this file*: bytes; what they say is the writer's.

*Theory*: two halves. The writer fills the half that is not shown, then raises the count that
shows it. A reader that finds the count two higher after reading than before may have read a half
that was being filled, and reads again. A writer that is killed leaves the half that was shown.

*Cost*: a copy of the page on either side, 1 us for 4 KB.
"""

from __future__ import annotations

COUNT, SIZE_AT = 0, (1, 2)
"""Words of a page's head: how often it was written; how long each half's text is."""

HEAD_BYTES = 64
_TRIES = 8


def write_page(memory: memoryview, data: bytes) -> bool:
    """Show ``data`` instead of what was there; False where it is too long, and nothing changes."""
    words = memory[:HEAD_BYTES].cast("q")
    half = (len(memory) - HEAD_BYTES) // 2
    if len(data) > half:
        return False
    turn = words[COUNT] + 1
    at = HEAD_BYTES + turn % 2 * half
    words[SIZE_AT[turn % 2]] = len(data)
    memory[at : at + len(data)] = data
    words[COUNT] = turn
    return True


def read_page(memory: memoryview) -> bytes:
    """Return what was written last; nothing if nothing was, or if it changes all the time."""
    words = memory[:HEAD_BYTES].cast("q")
    half = (len(memory) - HEAD_BYTES) // 2
    for _ in range(_TRIES):
        turn = words[COUNT]
        if not turn:
            return b""
        at = HEAD_BYTES + turn % 2 * half
        data = bytes(memory[at : at + words[SIZE_AT[turn % 2]]])
        if words[COUNT] - turn < 2:
            return data
    return b""
