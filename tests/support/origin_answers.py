"""Handlers of the raw origin: the corners of HTTP/1.1 that proxies get wrong."""

from __future__ import annotations

import asyncio
import gzip
import hashlib

from tests.support.origin import Conversation, Handler

BLOCK = hashlib.sha256(b"governor").digest() * 2048  # 64 KiB that no proxy could compress away
ODD_FIELDS = [
    (b"Set-Cookie", b"a=1; Path=/; HttpOnly"),
    (b"X-First", b"1"),
    (b"set-cookie", b"b=2; Expires=Wed, 21 Oct 2099 07:28:00 GMT"),
    (b"SET-COOKIE", b"c=3"),
    (b"X-Empty", b""),
    (b"x-MiXeD-cAsE", b'Value, With;Punctuation="q" (comment)'),
    (b"X-Latin", b"caf\xe9 \xff"),
    (b"X-Many", b"one"),
    (b"X-Between", b"-"),
    (b"X-Many", b"two"),
    (b"Warning", b'199 - "left alone"'),
    (b"Server", b"origin/0.1"),
    (b"Via", b"1.0 elsewhere"),
]


async def status(conversation: Conversation) -> None:
    """Answer with the status and reason asked for in the query."""
    await conversation.read_body()
    code = int(conversation.request.query("code", "200"))
    reason = conversation.request.query("reason", "Odd-Reason").replace("+", " ").encode()
    await conversation.answer(code, b"status %d\n" % code, [(b"X-Code", b"%d" % code)], reason)


async def not_modified(conversation: Conversation) -> None:
    """A 304 that states the length of the body it does not send."""
    head = b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nContent-Length: 1234\r\n\r\n'
    await conversation.send(head)


async def sized_head(conversation: Conversation) -> None:
    """To HEAD: a length without a body. To GET: that body."""
    await conversation.answer(200, b"h" * 1234, [(b"ETag", b'"v1"'), (b"Accept-Ranges", b"bytes")])


async def head_chunked(conversation: Conversation) -> None:
    """To HEAD: Transfer-Encoding without a body, as a GET would have it."""
    await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


async def odd_fields(conversation: Conversation) -> None:
    """Repeated, empty, mixed-case and non-ASCII fields."""
    await conversation.answer(200, b"odd", ODD_FIELDS)


async def gzipped(conversation: Conversation) -> None:
    """A gzip body that must arrive compressed."""
    body = gzip.compress(b"compress me " * 400, mtime=0)
    fields = [(b"Content-Encoding", b"gzip"), (b"Vary", b"Accept-Encoding")]
    await conversation.answer(200, body, fields)


async def ranged(conversation: Conversation) -> None:
    """One byte range of a known body, or 416."""
    body = BLOCK[:10_000]
    asked = conversation.request.get(b"range")
    if asked is None:
        await conversation.answer(200, body, [(b"Accept-Ranges", b"bytes")])
        return
    first, _, last = asked.removeprefix(b"bytes=").partition(b"-")
    start, stop = int(first), min(int(last or len(body) - 1), len(body) - 1) + 1
    if start >= len(body):
        fields = [(b"Content-Range", b"bytes */%d" % len(body))]
        await conversation.answer(416, b"", fields, b"Range Not Satisfiable")
        return
    fields = [(b"Content-Range", b"bytes %d-%d/%d" % (start, stop - 1, len(body)))]
    await conversation.answer(206, body[start:stop], fields, b"Partial Content")


async def one_byte_chunks(conversation: Conversation) -> None:
    """A chunked body of one-byte chunks, each in a segment of its own."""
    await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for byte in b"one byte at a time":
        await conversation.send(b"1\r\n%c\r\n" % byte)
        await asyncio.sleep(0)
    await conversation.send(b"0\r\n\r\n")


async def one_byte_segments(conversation: Conversation) -> None:
    """A whole response, head included, written byte by byte."""
    whole = b"HTTP/1.1 200 OK\r\nX-Slow: yes\r\nContent-Length: 5\r\n\r\nbytes"
    for byte in whole:
        await conversation.send(b"%c" % byte)
        await asyncio.sleep(0)


async def trailers(conversation: Conversation) -> None:
    """A chunked body with chunk extensions and two trailers."""
    await conversation.send(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Checksum, X-Empty\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;note=x\r\nhello\r\n6\r\n world\r\n0\r\nX-Checksum: abc123\r\nX-Empty:\r\n\r\n"
    )


async def until_close(conversation: Conversation) -> None:
    """A body whose only end is the end of the connection."""
    conversation.is_kept = False
    await conversation.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nX-End: close\r\n\r\n")
    for _ in range(3):
        await conversation.send(b"until the end ")


async def http10(conversation: Conversation) -> None:
    """An origin that speaks HTTP/1.0."""
    conversation.is_kept = False
    await conversation.send(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold")


async def hints(conversation: Conversation) -> None:
    """Two interim responses before the final one."""
    await conversation.send(
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n"
    )
    await conversation.answer(200, b"final")


async def refuse_expectation(conversation: Conversation) -> None:
    """A final answer in place of 100 Continue, before any body was sent."""
    conversation.is_kept = False
    conversation.origin.record(conversation.request)
    await conversation.answer(413, b"too much", [(b"Connection", b"close")], b"Too Large")


async def download(conversation: Conversation) -> None:
    """`n` bytes in blocks of 64 KiB, by length or chunked; counts what left this process."""
    n_bytes = int(conversation.request.query("n"))
    name = conversation.request.query("name", "download")
    is_chunked = conversation.request.query("framing") == "chunked"
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % n_bytes
    await conversation.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
    sent = 0
    conversation.writer.transport.set_write_buffer_limits(high=256 * 1024)
    while sent < n_bytes:
        block = BLOCK[: n_bytes - sent]
        await conversation.send(b"%x\r\n%s\r\n" % (len(block), block) if is_chunked else block)
        sent += len(block)
        conversation.origin.counts[name] = sent
    if is_chunked:
        await conversation.send(b"0\r\n\r\n")


async def upload(conversation: Conversation) -> None:
    """Read a body of any size, waiting at a gate first if asked; answer size and digest."""
    request = conversation.request
    if gate := request.query("gate"):
        await conversation.origin.gate(gate).wait()
    digest, n_bytes = hashlib.sha256(), 0
    async for block in conversation.blocks():
        digest.update(block)
        n_bytes += len(block)
    body = b"%d %s" % (n_bytes, digest.hexdigest().encode())
    conversation.origin.record(request)
    await conversation.answer(200, body)


async def events(conversation: Conversation) -> None:
    """`n` server-sent events; the next is sent only after `/ack?name=` for the last arrived."""
    request, origin = conversation.request, conversation.origin
    name = request.query("name")
    await conversation.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for number in range(int(request.query("n"))):
        event = b"id: %d\ndata: event %d\n\n" % (number, number)
        await conversation.send(b"%x\r\n%s\r\n" % (len(event), event))
        await origin.gate(f"{name}-{number}").wait()
    await conversation.send(b"0\r\n\r\n")


async def acknowledge(conversation: Conversation) -> None:
    """Open the gate that the event stream `name` waits at."""
    request = conversation.request
    conversation.origin.gate(f"{request.query('name')}-{request.query('number')}").set()
    await conversation.answer(204, reason=b"No Content")


async def held(conversation: Conversation) -> None:
    """Note the arrival as `name`, then answer once the gate `name` opens."""
    name = conversation.request.query("name")
    await conversation.read_body()
    conversation.origin.mark(name)
    await conversation.origin.gate(name).wait()
    await conversation.answer(200, b"held " + name.encode())


async def endless(conversation: Conversation) -> None:
    """Stream until the other side leaves, then note `name` left."""
    name = conversation.request.query("name")
    await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfirs\r\n")
    conversation.origin.mark(f"{name} started")
    await conversation.reader.read()
    conversation.is_kept = False
    conversation.origin.mark(f"{name} left")


ANSWERS: dict[str, Handler] = {
    "/status": status,
    "/not-modified": not_modified,
    "/sized": sized_head,
    "/head-chunked": head_chunked,
    "/odd-fields": odd_fields,
    "/gzip": gzipped,
    "/range": ranged,
    "/one-byte-chunks": one_byte_chunks,
    "/one-byte-segments": one_byte_segments,
    "/trailers": trailers,
    "/until-close": until_close,
    "/http10": http10,
    "/hints": hints,
    "/refuse": refuse_expectation,
    "/download": download,
    "/upload": upload,
    "/events": events,
    "/ack": acknowledge,
    "/held": held,
    "/endless": endless,
}
