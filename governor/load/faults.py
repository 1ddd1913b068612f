"""Faults in words people know: what a fault gate does to a service, and when.

*Rule of this file*: text in, frozen values out, and which fault is at work at an
instant; nothing is delayed or sent here.

::

    KIND[:VALUE][@START[+LENGTH]]      times as in 200ms, 4s, 1m

    latency:200ms    every request arrives that much later
    stall            nothing gets through; what came meanwhile is served afterwards
    slow:10x         every request takes that many times as long
    refuse[:429]     the answer is 503 (or the status given) with Retry-After: 1
    refuse:20%       for that share of requests
    reset[:20%]      connections break under the request
    limit:32         at most so many requests in service at once, the rest wait in line
    limit:50/s       429 with Retry-After: 1 beyond that rate (bucket of one second)

Without ``@`` a fault lasts the whole run; without ``+`` until its end.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from governor.config.durations import format_duration, parse_duration_s

_WORD = re.compile(
    r"(?P<kind>[a-z]+)(?::(?P<value>[^@+]+))?(?:@(?P<start>[^+]+)(?:\+(?P<length>.+))?)?"
)

MAX_LATENCY_S = 60.0
MAX_SLOW = 1_000.0
MAX_LIMIT = 100_000

FORMS = {
    "latency": "latency:200ms",
    "stall": "stall",
    "slow": "slow:10x",
    "refuse": "refuse, refuse:429 or refuse:20%",
    "reset": "reset or reset:20%",
    "limit": "limit:32 (at once) or limit:50/s",
}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind : str
        ``latency``, ``stall``, ``slow``, ``refuse``, ``reset``, ``limit`` (at once) or
        ``rate``.
    value : float
        Seconds, factor, status, places or requests per second; 0 where there is none.
    share : float
        Of the requests that it meets.
    start_s, end_s : float
        From the start of the run; half-open.
    """

    kind: str
    value: float = 0.0
    share: float = 1.0
    start_s: float = 0.0
    end_s: float = math.inf

    def is_active(self, at_s: float) -> bool:
        """Return whether it is at work at an instant of the run."""
        return self.start_s <= at_s < self.end_s

    def describe(self) -> str:
        """Return it in words, for a person."""
        share = "" if self.share == 1.0 else f" for {self.share:.0%} of requests"
        what = {
            "latency": f"{format_duration(self.value)} later",
            "stall": "nothing gets through",
            "slow": f"{self.value:g} times as slow",
            "refuse": f"answers {self.value:.0f}{share}",
            "reset": f"connections break{share}",
            "limit": f"{self.value:.0f} at once",
            "rate": f"429 beyond {self.value:g}/s",
        }[self.kind]
        if self.start_s == 0.0 and math.isinf(self.end_s):
            return what
        start = f"from {format_duration(self.start_s)}"
        if math.isinf(self.end_s):
            return f"{what} {start} on"
        return f"{what} {start} for {format_duration(self.end_s - self.start_s)}"


def parse_fault(text: str) -> Fault:
    """Return the fault that a word describes.

    Raises
    ------
    ValueError
        Says what is allowed.

    Examples
    --------
    >>> parse_fault("stall@5s+4s")
    Fault(kind='stall', value=0.0, share=1.0, start_s=5.0, end_s=9.0)
    >>> parse_fault("limit:32").describe(), parse_fault("latency:200ms@1s").describe()
    ('32 at once', '200ms later from 1s on')
    """
    match = _WORD.fullmatch(text.strip())
    if match is None or match["kind"] not in FORMS:
        forms = "; ".join(FORMS.values())
        raise ValueError(f"must be KIND[:VALUE][@START[+LENGTH]] with one of: {forms}")
    kind = match["kind"]
    start_s = _time_s(match["start"], "START", may_be_zero=True) if match["start"] else 0.0
    length_s = _time_s(match["length"], "LENGTH") if match["length"] else math.inf
    try:
        kind, value, share = _READERS[kind](match["value"] or "")
    except ValueError as exc:
        raise ValueError(str(exc) or f"must be {FORMS[kind]}, and then @START+LENGTH") from None
    return Fault(kind, value, share, start_s, start_s + length_s)


def _time_s(text: str, what: str, *, may_be_zero: bool = False) -> float:
    try:
        seconds = parse_duration_s(text)
    except ValueError as exc:
        raise ValueError(f"{what} {exc}") from None
    if seconds <= 0 and not (may_be_zero and seconds == 0):
        raise ValueError(f"{what} must be above 0")
    return seconds


def _number(text: str) -> float:
    """Return a number; the empty ValueError stands for "show the form"."""
    try:
        return float(text)
    except ValueError:
        raise ValueError from None


def _read_latency(text: str) -> tuple[str, float, float]:
    seconds = _time_s(text, "VALUE")
    if seconds > MAX_LATENCY_S:
        raise ValueError(f"VALUE must be at most {format_duration(MAX_LATENCY_S)}")
    return "latency", seconds, 1.0


def _read_stall(text: str) -> tuple[str, float, float]:
    if text:
        raise ValueError
    return "stall", 0.0, 1.0


def _read_slow(text: str) -> tuple[str, float, float]:
    factor = _number(text.removesuffix("x"))
    if not 1.0 <= factor <= MAX_SLOW:
        raise ValueError(f"VALUE must be between 1x and {MAX_SLOW:g}x")
    return "slow", factor, 1.0


def _read_share(text: str) -> float:
    share = _number(text.removesuffix("%")) / 100.0
    if not 0.0 < share <= 1.0:
        raise ValueError("VALUE must be a share above 0% and at most 100%")
    return share


def _read_refuse(text: str) -> tuple[str, float, float]:
    if text.endswith("%"):
        return "refuse", 503.0, _read_share(text)
    if not text:
        return "refuse", 503.0, 1.0
    if not (text.isascii() and text.isdigit() and 400 <= int(text) <= 599):
        raise ValueError("VALUE must be a status from 400 to 599, or a share as in 20%")
    return "refuse", float(text), 1.0


def _read_reset(text: str) -> tuple[str, float, float]:
    return "reset", 0.0, _read_share(text) if text else 1.0


def _read_limit(text: str) -> tuple[str, float, float]:
    kind = "rate" if text.endswith("/s") else "limit"
    value = _number(text.removesuffix("/s"))
    if not 1 <= value <= MAX_LIMIT or (kind == "limit" and value != int(value)):
        raise ValueError(f"VALUE must be between 1 and {MAX_LIMIT:,}")
    return kind, value, 1.0


_READERS = {
    "latency": _read_latency,
    "stall": _read_stall,
    "slow": _read_slow,
    "refuse": _read_refuse,
    "reset": _read_reset,
    "limit": _read_limit,
}


class Schedule:
    """The faults of one gate over the time of a run."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults

    def active(self, kind: str, at_s: float) -> Fault | None:
        """Return the last given fault of a kind that is at work; None if none is."""
        found = None
        for fault in self.faults:
            if fault.kind == kind and fault.is_active(at_s):
                found = fault
        return found

    def edges_s(self) -> list[float]:
        """Return the instants at which something begins or ends."""
        edges = {edge for fault in self.faults for edge in (fault.start_s, fault.end_s)}
        return sorted(edge for edge in edges if math.isfinite(edge))


class Bucket:
    """A token bucket of one second's requests.

    Parameters
    ----------
    rate_hz : float
        Requests per second, and the size of the bucket.
    at_s : float
        Now.
    """

    def __init__(self, rate_hz: float, at_s: float) -> None:
        self.rate_hz = rate_hz
        self._tokens = max(1.0, rate_hz)
        self._at_s = at_s

    def take(self, at_s: float) -> bool:
        """Return whether a request fits now, and count it if so."""
        gained = max(0.0, at_s - self._at_s) * self.rate_hz
        self._tokens = min(max(1.0, self.rate_hz), self._tokens + gained)
        self._at_s = max(at_s, self._at_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
