"""The page about one request: what is still known of it, from the recording and the decisions.

*Rule of this file*: from the two rings to plain values. The recorder knows every request
while it is on; the ring of decisions only those that Governor did something about.
"""

from __future__ import annotations

from typing import Any

from governor.control.decisions import REASON_WORDS, describe_entry
from governor.control.view import RuntimeView

Json = dict[str, Any]


def describe_life(runtime: RuntimeView, request_id: str, now_ns: int, unix_now_ns: int) -> Json:
    """Return the page.

    Parameters
    ----------
    now_ns, unix_now_ns : int
        The same instant on the monotonic and on the wall clock.
    """
    recorder = runtime.recorder
    life = None
    if recorder is not None:
        life = recorder.life(request_id.encode("utf-8", "surrogateescape"))
    if life is not None:
        add_words(life)
    log = runtime.decision_log
    decisions = [
        describe_entry(entry, unix_now_ns - now_ns, runtime.identities)
        for entry in reversed(log.last(log.capacity))
        if entry.request_id == request_id
    ]
    return {
        "request_id": request_id,
        "is_found": life is not None or bool(decisions),
        "is_recording": recorder is not None,
        "life": life,
        "decisions": decisions,
    }


def add_words(life: Json) -> None:
    """Say each reason as a sentence."""
    for step in life["steps"]:
        if "reason" in step:
            step["in_words"] = REASON_WORDS.get(step["reason"], "")
