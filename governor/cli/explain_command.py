"""``governor explain`` and ``governor record``: what a running Governor knows, and its recording.

*Rule of this file*: one question to the control port, or one file; the answer in words.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TIMEOUT_S = 5.0

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The control port is asked directly, whatever proxies the environment names."""


class NotAnswered(Exception):
    """The control port could not be asked, or said no."""


def ask(admin: str, path: str, *, post: bool = False) -> Any:
    """Return the control port's JSON.

    Raises
    ------
    NotAnswered
    """
    request = urllib.request.Request(f"http://{admin}{path}", method="POST" if post else "GET")
    if post:
        request.add_header("X-Governor-Write", "1")
        request.add_header("Content-Type", "application/json")
    try:
        with _opener.open(request, timeout=TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            message = json.load(error)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            message = f"it answered {error.code}"
        raise NotAnswered(f"Governor at {admin}: {message}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotAnswered(f"no Governor answers at {admin}: {reason}") from error


def record_now(admin: str) -> int:
    """Have a running Governor write its recording; return the exit code."""
    try:
        told = ask(admin, "/record", post=True)
    except NotAnswered as error:
        print(error)
        return 1
    print(f"{told['records']:,} records written to {told['file']}")
    return 0


def explain(request_id: str, admin: str, file: Path | None) -> int:
    """Print the life of one request; return the exit code."""
    page: dict[str, Any] | None = None
    problem = ""
    if file is None:
        try:
            page = ask(admin, f"/explain?id={urllib.parse.quote(request_id, safe='')}")
        except NotAnswered as error:
            problem = str(error)
    else:
        page = _from_file(request_id, file)
    if page is None:
        print(f"{problem}; give a recording with --file")
        return 1
    if not page["is_found"]:
        print(f"nothing is known of {request_id}")
        if file is None and not page["is_recording"]:
            print("Only what Governor intervened in is kept; recorder.mode keeps all requests.")
        return 1
    print("\n".join(words(page)))
    return 0


def _from_file(request_id: str, file: Path) -> dict[str, Any]:
    from governor.control.explain import add_words
    from governor.record.explain import find_life
    from governor.record.store import read

    recording = read(file)
    salt = recording.header["salt"]
    life = find_life(recording.events, request_id.encode(), salt, recording.upstreams)
    if life is not None:
        add_words(life)
    return {"is_found": life is not None, "is_recording": True, "life": life, "decisions": []}


def words(page: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the answer."""
    life = page["life"]
    if life is None:
        yield "Of this request only Governor's interventions are known:"
        for entry in page["decisions"]:
            waited = f", after {entry['waited_s'] * 1e3:.0f} ms" if entry["waited_s"] else ""
            what = f"{entry['action']}, {entry['reason']}{waited}"
            yield f"  {what}: {entry['in_words']}"
            readings = ", ".join(
                f"{k} {v:g}" for k, v in entry["readings"].items() if v is not None
            )
            yield f"    read: {readings}"
        return
    read = life["read"]
    attempt = "unmarked" if read["attempt"] is None else read["attempt"]
    patience = f"{read['patience_s']:g} s" if read["patience_s"] else "not told"
    yield f"{life['request_id']} to upstream {life['upstream']}"
    yield (
        f"  read: tenant {read['tenant']}, flow {read['flow']}, tree {read['tree']}, "
        f"attempt {attempt}, urgency {read['urgency']}, patience {patience}"
    )
    for step in life["steps"]:
        yield f"  {step['at_s'] * 1e3:10.1f} ms  {_say(step)}"
    for name, value in life["parts"].items():
        told = "-" if value is None else f"{value * 1e3:.1f} ms"
        yield f"  {name.removesuffix('_s').replace('_', ' '):18} {told}"
    for entry in page["decisions"]:
        readings = ", ".join(f"{k} {v:g}" for k, v in entry["readings"].items())
        yield f"  {entry['reason']} rested on: {readings}"


def _say(step: dict[str, Any]) -> str:
    said = str(step["what"])
    if "action" in step:
        said += f": {step['action']}, {step['reason']}. {step.get('in_words', '')}".rstrip()
    if "outcome" in step:
        said += f": {step['outcome']}"
    if step.get("status"):
        said += f" (status {step['status']})"
    if step.get("retry_after_s"):
        said += f"; to come back after {step['retry_after_s']:.2f} s"
    return said
