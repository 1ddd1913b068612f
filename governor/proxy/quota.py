"""What an upstream says of its own limits: quota headers, and when to come back.

*Rule of this file*: a response head in, integers out; a value that is not
understood says nothing. A provider's numbers are hints: nothing here refuses
or changes an answer.

*Theory*: a provider counts several things at once (requests, tokens in, tokens
out) for each credential; every kind that a head tells in full goes on, as what
it is. A kind is told in full by a limit and what remains of it.

A reset is told in five ways: seconds from now, a Unix instant, an instant in
RFC 3339, a duration like ``6m0s``, milliseconds. A plain number is an instant
if it is too large for a duration.

*Cost*: none for heads without such fields (one dictionary look-up each, which
they pay anyway). Quotas are read at most once in ``SAMPLE_NS`` an endpoint, when
to come back from every answer that sends its caller away.

*Source*: OpenAI's rate limit guide (``x-ratelimit-*-requests``, ``-tokens``),
Anthropic's (``anthropic-ratelimit-<kind>-limit``, RFC 3339 resets),
draft-ietf-httpapi-ratelimit-headers (07: ``limit=, remaining=, reset=``; 10:
``"policy";r=;t=`` beside ``RateLimit-Policy``), RFC 9110 section 10.2.3 (Retry-After),
``retry-after-ms`` (OpenAI, Anthropic), ``x-amz-retry-after`` (milliseconds, AWS).
``anthropic-ratelimit-unified-*`` is a subscription's, not the service's, and passes unread.
"""

from __future__ import annotations

import re
from calendar import timegm
from email.utils import mktime_tz, parsedate_tz
from typing import NamedTuple

_NS = 1_000_000_000

SAMPLE_NS = 50_000_000
"""Quota moves with every answer; twenty looks a second show all of it that matters."""

MAX_WAIT_S = 86_400.0
"""Later means the same: not today."""

MAX_COUNT = 1 << 52
"""Exact in a float."""

KINDS = {b"requests": 0, b"tokens": 1, b"input-tokens": 2, b"output-tokens": 3, b"": 4}
"""What is counted, as numbers (:mod:`signals.quota`); ``b""`` is a header that does not say."""

OTHER_KIND = 5

MAX_FIELDS = 32
"""Quota fields read of one head."""

_INSTANT_S = 1e9
"""A plain number above is a Unix instant (2001), not a duration of thirty years."""

_FIELD = re.compile(
    rb"\r\n((?:x-|anthropic-)?ratelimit[a-z0-9-]{0,64}):[ \t]*([^\r\n]{0,128})", re.IGNORECASE
)
_RETRY = re.compile(
    rb"\r\n(retry-after-ms|x-amz-retry-after|retry-after):[ \t]*([^\r\n]{0,64})", re.IGNORECASE
)
_DURATION = re.compile(
    rb"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{0,9})?)s)?(?:(\d{1,9}(?:\.\d{0,9})?)ms)?"
)
_RFC3339 = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:[Zz]|([+-])(\d\d):(\d\d))"
)
_PARAMETER = re.compile(rb"(?:^|[;,\s])(limit|remaining|reset|q|r|t)[ \t]*=[ \t]*(\d{1,15})")
_WORDS = {b"q": b"limit", b"r": b"remaining", b"t": b"reset"}


class Quota(NamedTuple):
    """What is left of one thing that the upstream counts."""

    kind: int
    """What it counts; see ``KINDS``."""
    limit: int
    remaining: int
    reset_ns: int
    """From now until it is whole again; 0 if not told."""


def is_quota(lower_name: bytes) -> bool:
    """Return whether a response header tells of a quota.

    Examples
    --------
    >>> is_quota(b"x-ratelimit-limit-tokens"), is_quota(b"anthropic-ratelimit-unified-status")
    (True, False)
    """
    if lower_name.startswith(b"anthropic-ratelimit-unified"):
        return False
    return lower_name.startswith((b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit"))


def read_quotas(head: bytes, wall_s: float) -> list[Quota]:
    """Return every quota that a head tells in full.

    Parameters
    ----------
    head : bytes
        A response's, status line to empty line.
    wall_s : float
        Unix time now, for resets that are instants.
    """
    kinds: dict[bytes, dict[bytes, bytes]] = {}
    for n, match in enumerate(_FIELD.finditer(head)):
        if n >= MAX_FIELDS:
            break
        _sort(match[1].lower(), match[2].strip(b" \t"), kinds)
    found = []
    for kind, told in kinds.items():
        limit, remaining = _count(told.get(b"limit")), _count(told.get(b"remaining"))
        if limit and remaining is not None:
            reset_ns = read_wait_ns(told.get(b"reset", b""), wall_s) or 0
            code = KINDS.get(kind, OTHER_KIND)
            found.append(Quota(code, limit, min(remaining, limit), reset_ns))
    return found


def _sort(name: bytes, value: bytes, kinds: dict[bytes, dict[bytes, bytes]]) -> None:
    """Put one field where its kind is: ``kinds[kind][limit | remaining | reset]``."""
    if name in (b"ratelimit", b"ratelimit-policy"):
        told = kinds.setdefault(b"", {})
        for word, number in _PARAMETER.findall(value):
            told.setdefault(_WORDS.get(word, word), number)
        return
    words = name.partition(b"ratelimit-")[2].split(b"-")
    if words[0] == b"unified":
        return
    for word in (words[0], words[-1]):
        if word in (b"limit", b"remaining", b"reset"):
            words.remove(word)
            kinds.setdefault(b"-".join(words), {}).setdefault(word, value)
            return


def _count(value: bytes | None) -> int | None:
    """Return a plain number; of ``100, 100;w=60`` the first."""
    if value is None:
        return None
    digits = value.split(b",", 1)[0].split(b";", 1)[0].strip(b" \t")
    if not digits.isdigit() or len(digits) > 18:
        return None
    return min(int(digits), MAX_COUNT)


def read_wait_ns(value: bytes, wall_s: float) -> int | None:
    """Return how long until an instant, or a duration, in nanoseconds; None if it is neither.

    Examples
    --------
    >>> read_wait_ns(b"1m2.5s", 0.0), read_wait_ns(b"20ms", 0.0), read_wait_ns(b"7", 0.0)
    (62500000000, 20000000, 7000000000)
    >>> read_wait_ns(b"1970-01-01T00:01:00Z", 58.0), read_wait_ns(b"1000000009", 1e9)
    (2000000000, 9000000000)
    >>> read_wait_ns(b"soon", 0.0)
    """
    seconds = _seconds(value, wall_s)
    if seconds is None:
        return None
    return int(min(max(seconds, 0.0), MAX_WAIT_S) * _NS)


def _seconds(value: bytes, wall_s: float) -> float | None:
    whole, _, part = value.partition(b".")
    if whole.isdigit() and (part.isdigit() or not part) and len(value) <= 20:
        number = float(value)
        return number - wall_s if number >= _INSTANT_S else number
    match = _RFC3339.fullmatch(value)
    if match is not None:
        year, month, day, hour, minute, second = (int(x) for x in match.groups()[:6])
        if not (1 <= month <= 12 and 1 <= day <= 31 and 1970 <= year <= 9999):
            return None
        offset_s = 0
        if match[7]:
            offset_s = (int(match[8]) * 60 + int(match[9])) * (-60 if match[7] == b"-" else 60)
        return timegm((year, month, day, hour, minute, second, 0, 0, 0)) - offset_s - wall_s
    match = _DURATION.fullmatch(value)
    if match is None or not value:
        return None
    days, hours, minutes, seconds, millis = (float(x) if x else 0.0 for x in match.groups())
    return days * 86_400 + hours * 3_600 + minutes * 60 + seconds + millis * 1e-3


def read_retry_after_ns(head: bytes, wall_s: float) -> int:
    """Return for how long an answer asks its caller to stay away; 0 if it does not.

    The most exact of the headers wins; a caller of today's libraries reads them in this order.

    Examples
    --------
    >>> read_retry_after_ns(b"HTTP/1.1 429 x\\r\\nRetry-After: 2\\r\\n\\r\\n", 0.0)
    2000000000
    """
    told = {match[1].lower(): match[2].strip(b" \t") for match in _RETRY.finditer(head)}
    for name in (b"retry-after-ms", b"x-amz-retry-after"):
        millis = told.get(name, b"")
        whole, _, part = millis.partition(b".")
        if whole.isdigit() and (part.isdigit() or not part):
            return int(min(float(millis) * 1e-3, MAX_WAIT_S) * _NS)
    value = told.get(b"retry-after", b"")
    if value.isdigit():
        return int(min(float(value), MAX_WAIT_S) * _NS)
    try:
        instant = parsedate_tz(value.decode("ascii"))
        seconds = mktime_tz(instant) - wall_s if instant is not None else 0.0
    except (ValueError, OverflowError, TypeError):
        return 0
    return int(min(max(seconds, 0.0), MAX_WAIT_S) * _NS)
