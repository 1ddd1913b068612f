"""How Governor intervenes: the switches of its policies.

*Rule of this file*: values and their bounds only. The text under each field is
its reference, and its description in ``governor schema``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from governor.config.fields import Seconds
from governor.config.section import Section

Mode = Literal["govern", "observe"]
PolicyMode = Literal["govern", "observe", "off"]


class Policies(Section):
    """How Governor intervenes."""

    mode: Mode = "govern"
    """observe computes and reports every decision and changes nothing. Default govern."""
    hold: PolicyMode = "govern"
    """Whoever arrives in a crowd lets those go first who come by themselves, for at most 200 ms
    beside a free place: govern, observe (count only) or off. Default govern."""
    contain: PolicyMode = "govern"
    """Calls of a kind that holds its place for long leave room for brief ones: govern, observe
    (count only) or off. Default govern."""
    holdback_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Share of the callers, 0 to 0.5, that are left ungoverned to measure what governing does for
    the others. Default 0: nobody."""
    patience_s: Seconds = 10.0
    """How long a caller is assumed to wait before its own is hinted or learned. Default 10s:
    below common time-outs."""
    slot_horizon_s: Annotated[Seconds, Field(ge=1, le=60)] = 60.0
    """Latest time that a caller is told to come back after, 1s to 60s. Default 60s: SDKs ignore
    longer ones."""
    ratelimit_headers: bool = True
    """Governor's own 429 and 503 say in RateLimit and RateLimit-Policy what is known of the
    caller's quota of requests; an upstream's answers keep their own. Default true."""
