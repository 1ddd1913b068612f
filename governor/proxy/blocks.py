"""Blocks of header lines: cut from a received head, joined from fields, one line changed.

*Rule of this file*: bytes in, bytes out. A block is the lines of a head without
the first one and without the end of the last.
"""

from __future__ import annotations

Field = tuple[bytes, bytes]


def join_fields(fields: list[Field]) -> bytes:
    """Return the block of some fields."""
    return b"\r\n".join(map(b": ".join, fields))


def cut_block(received: bytes) -> bytes:
    """Return the block of a whole head.

    Examples
    --------
    >>> cut_block(b"GET / HTTP/1.1\\r\\nA: b\\r\\nC: d\\r\\n\\r\\n")
    b'A: b\\r\\nC: d'
    """
    return received[received.index(b"\r\n") + 2 : -4]


def cut_block_at(received: bytes, begin: int) -> bytes:
    """Return the block of a whole head but for the line whose leading CRLF is at ``begin``.

    Examples
    --------
    >>> head = b"GET / HTTP/1.1\\r\\nA: b\\r\\nC:d\\r\\nE: f\\r\\n\\r\\n"
    >>> cut_block_at(head, head.index(b"\\r\\nC:"))
    b'A: b\\r\\nE: f'
    """
    start = received.index(b"\r\n") + 2
    end = received.index(b"\r\n", begin + 2)
    if begin < start:
        return received[end + 2 : -4]
    return received[start:begin] + received[end:-4]


def replace_line(block: bytes, name: bytes, value: bytes) -> bytes:
    """Return ``block`` with another value in the line of ``name``, or with the line in front.

    Examples
    --------
    >>> replace_line(b"A: b\\r\\nHost: x\\r\\nC: d", b"Host", b"y")
    b'A: b\\r\\nHost: y\\r\\nC: d'
    >>> replace_line(b"A: b", b"Host", b"y"), replace_line(b"", b"Host", b"y")
    (b'Host: y\\r\\nA: b', b'Host: y')
    """
    led = b"\r\n" + block
    before, found, rest = led.partition(b"\r\n%b:" % name)
    if not found:
        return b"%b: %b%b" % (name, value, led if block else b"")
    end = rest.find(b"\r\n")
    after = rest[end:] if end >= 0 else b""
    return b"".join((before, found, b" ", value, after))[2:]
