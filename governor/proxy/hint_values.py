"""Readers of single hint values: bytes in, integers out.

*Rule of this file*: a value that is not understood gives None; nothing is
raised, for a hint is never a reason to refuse a request. Every result is
clamped to the range that the gate takes.

*Source*: each function names the specification or the client that writes the
value.
"""

from __future__ import annotations

from calendar import timegm

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

MAX_PATIENCE_NS = 86_400 * NS_PER_S
"""Longer promises mean the same: the caller waits."""

MAX_ATTEMPT = 1_000
"""Higher counts mean the same: it will not stop."""

_GRPC_UNITS_NS = {
    b"H": 3_600 * NS_PER_S,
    b"M": 60 * NS_PER_S,
    b"S": NS_PER_S,
    b"m": NS_PER_MS,
    b"u": 1_000,
    b"n": 1,
}

_REQUEST_CLASSES = {
    b"main": 2,
    b"compaction": 3,
    b"subagent": 4,
    b"workflow": 5,
    b"auxiliary": 6,
}
"""Claude Code's own classes: someone waits for the main turn, nobody for an auxiliary one."""

_WORDS = {b"high": 1, b"normal": 3, b"low": 5}


def read_count(value: bytes) -> int | None:
    """Return a plain count of attempts.

    Examples
    --------
    >>> read_count(b"2"), read_count(b"-1"), read_count(b"two")
    (2, None, None)
    """
    if not value.isdigit() or len(value) > 9:
        return None
    return min(int(value), MAX_ATTEMPT)


def read_millis(value: bytes) -> int | None:
    """Return nanoseconds of a plain number of milliseconds (Envoy, Governor's own).

    Examples
    --------
    >>> read_millis(b"1500")
    1500000000
    """
    if not value.isdigit() or len(value) > 15 or int(value) == 0:
        return None
    return min(int(value) * NS_PER_MS, MAX_PATIENCE_NS)


def read_seconds(value: bytes) -> int | None:
    """Return nanoseconds of a decimal number of seconds (Stainless SDKs, google-genai).

    Examples
    --------
    >>> read_seconds(b"0.5"), read_seconds(b"600"), read_seconds(b"nan"), read_seconds(b"1e9")
    (500000000, 600000000000, None, None)
    """
    if value.isdigit() and len(value) <= 5:
        return int(value) * NS_PER_S or None
    whole, _, part = value.partition(b".")
    if not (whole.isdigit() and (part.isdigit() or not part)) or len(value) > 18:
        return None
    seconds = float(value)
    return min(int(seconds * NS_PER_S), MAX_PATIENCE_NS) if seconds > 0.0 else None


def read_grpc_timeout(value: bytes) -> int | None:
    """Return nanoseconds of ``grpc-timeout`` (gRPC over HTTP/2: at most 8 digits and a unit).

    Examples
    --------
    >>> read_grpc_timeout(b"100m"), read_grpc_timeout(b"1S"), read_grpc_timeout(b"S")
    (100000000, 1000000000, None)
    """
    unit_ns = _GRPC_UNITS_NS.get(value[-1:])
    digits = value[:-1]
    if unit_ns is None or not digits.isdigit() or len(digits) > 8 or int(digits) == 0:
        return None
    return min(int(digits) * unit_ns, MAX_PATIENCE_NS)


def read_amz_attempt(value: bytes) -> int | None:
    """Return the attempt of ``amz-sdk-request: ttl=..; attempt=N; max=M`` (botocore, from 1).

    Examples
    --------
    >>> read_amz_attempt(b"attempt=1"), read_amz_attempt(b"attempt=3; max=5")
    (0, 2)
    """
    count = read_count(_parameter(value, b"attempt="))
    return count - 1 if count else None


def read_amz_ttl(value: bytes, wall_s: float) -> int | None:
    """Return the patience left by ``ttl``, a UTC instant; ``wall_s`` is the Unix time now.

    Examples
    --------
    >>> read_amz_ttl(b"ttl=19700101T000100Z; attempt=2; max=3", 55.0)
    5000000000
    """
    text = _parameter(value, b"ttl=")
    digits = text[:8] + text[9:15]
    if len(text) != 16 or text[8:9] != b"T" or text[15:] != b"Z" or not digits.isdigit():
        return None
    try:
        until_s = timegm(
            (
                int(text[:4]),
                int(text[4:6]),
                int(text[6:8]),
                int(text[9:11]),
                int(text[11:13]),
                int(text[13:15]),
                0,
                0,
                0,
            )
        )
    except (ValueError, OverflowError):
        return None
    left_s = until_s - wall_s
    return int(min(left_s * NS_PER_S, MAX_PATIENCE_NS)) if left_s > 0.0 else None


def _parameter(value: bytes, key: bytes) -> bytes:
    for part in value.split(b";"):
        part = part.strip(b" \t")
        if part.startswith(key):
            return part[len(key) :]
    return b""


def has_ttl(value: bytes) -> bool:
    """Return whether ``amz-sdk-request`` says until when (botocore: from the second attempt on)."""
    return b"ttl=" in value


def read_google_attempt(value: bytes) -> int | None:
    """Return the attempt in ``x-goog-api-client: .. gccl-attempt-count/N`` (1 is the first).

    Examples
    --------
    >>> read_google_attempt(b"gl-go/1.22 gccl-invocation-id/x gccl-attempt-count/2")
    1
    """
    _, found, rest = value.partition(b"gccl-attempt-count/")
    if not found:
        return None
    count = read_count(rest.partition(b" ")[0])
    return count - 1 if count else None


def read_urgency(value: bytes) -> int | None:
    """Return the urgency of ``Priority`` (RFC 9218 section 4.1), None where it says none.

    Examples
    --------
    >>> read_urgency(b"u=1, i"), read_urgency(b"i"), read_urgency(b"u=9")
    (1, None, None)
    """
    for part in value.split(b","):
        part = part.strip(b" \t")
        if part.startswith(b"u=") and len(part) >= 3 and part[3:4] in (b"", b";", b" "):
            digit = part[2] - 48
            return digit if 0 <= digit <= 7 else None
    return None


def read_own_priority(value: bytes) -> int | None:
    """Return the urgency of ``x-governor-priority``: 0 to 7, or high, normal, low.

    Examples
    --------
    >>> read_own_priority(b"0"), read_own_priority(b"low"), read_own_priority(b"8")
    (0, 5, None)
    """
    if len(value) == 1 and b"0" <= value <= b"7":
        return value[0] - 48
    return _WORDS.get(value.lower())


def read_request_class(value: bytes) -> int | None:
    """Return the urgency of ``x-claude-code-request-class``."""
    return _REQUEST_CLASSES.get(value)


def read_sbi_priority(value: bytes) -> int | None:
    """Return the urgency of ``3gpp-Sbi-Message-Priority``, 0 to 31 (3GPP TS 29.500)."""
    if not value.isdigit() or len(value) > 2 or int(value) > 31:
        return None
    return int(value) // 4
