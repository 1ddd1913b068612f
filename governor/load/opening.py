"""What a client says before its first call: MCP's opening of a session.

*Rule of this file*: bytes from values, and what an answer's head means; no socket,
no clock. Clients that open nothing have no opening and pay one test a call.

*Theory*: a client of MCP over streamable HTTP asks ``initialize``, takes the session
that the answer's ``Mcp-Session-Id`` names, if it names one, says
``notifications/initialized`` and only then calls, with the session and the protocol's
version in every head. A 404 to a call tells that the session is gone: it opens
another one before its next task.

*Regime*: all steps of an opening count to the time of the attempt that needs it, and
one that fails ends the attempt as a failed call would. Calls that one agent makes at
the same time before any is open each open their own. The stream that a client may
keep open by GET is not opened: it carries nothing that was asked for.

*Source*: Model Context Protocol 2025-11-25, "Transports" (session management) and
"Lifecycle"; mcp 2.3.
"""

from __future__ import annotations

SESSION_HEADER = "mcp-session-id"
SESSION_GONE = 404

_VERSION = "2025-11-25"
VERSION_LINE = f"MCP-Protocol-Version: {_VERSION}"

STEPS = (
    (
        '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"'
        f'{_VERSION}","capabilities":{{}},"clientInfo":{{"name":"mcp","version":"0.1.0"}}}}}}'
    ),
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
)
"""Bodies, in order; each is sent when the one before has been answered with 2xx."""


def write_step(step: int, call_head: bytes, session: str, number: int = -1) -> bytes:
    """Return one step of an opening, from the head that the agent's calls begin with.

    Parameters
    ----------
    call_head : bytes
        Without a session; its length is of the call's body, and replaced.
    session : str
        As the first answer named it; empty for none.
    number : int
        Of the attempt that needs it, to which its time is counted; -1 for none.

    Examples
    --------
    >>> head = b"POST /mcp HTTP/1.1\\r\\nContent-Length: 9"
    >>> write_step(1, head, "s1").splitlines()[:3]
    [b'POST /mcp HTTP/1.1', b'Mcp-Session-Id: s1', b'Content-Length: 54']
    """
    body = STEPS[step].encode()
    dropped = [b"content-length"] if step else [b"content-length", b"mcp-protocol-version"]
    lines = [
        line
        for line in call_head.split(b"\r\n")
        if line.partition(b":")[0].strip().lower() not in dropped
    ]
    if session:
        lines.append(session_line(session))
    if number >= 0:
        lines.append(b"x-bench-id: %d" % number)
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def session_line(session: str) -> bytes:
    """Return the header that names a session."""
    return b"Mcp-Session-Id: " + session.encode("latin-1")
