"""``governor explain`` and ``governor record``: what a running Governor knows, and its recording.

*Rule of this file*: one question to the control port, or one file; the answer in words.
"""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from governor.cli.control_port import NotThere, ask


def record_now(url: str) -> int:
    """Have a running Governor write its recording; return the exit code.

    Raises
    ------
    NotThere
    """
    told = ask(url, "/record", is_post=True)
    print(f"{told['records']:,} records written to {told['file']}")
    return 0


def explain(request_id: str, url: str, file: Path | None) -> int:
    """Print the life of one request; return the exit code.

    Raises
    ------
    NotThere
        If no file is given and no Governor answers.
    """
    page: dict[str, Any]
    if file is not None:
        page = _from_file(request_id, file)
    else:
        try:
            page = ask(url, f"/explain?id={urllib.parse.quote(request_id, safe='')}")
        except NotThere as error:
            raise NotThere(f"{error.message}\nA recording is asked with --file FILE.") from None
    if page["is_found"]:
        print("\n".join(words(page)))
        return 0
    print(f"nothing is known of {request_id}", file=sys.stderr)
    if file is None and not page["is_recording"]:
        print(
            "Only what Governor intervened in is kept; with recorder: {mode: storm} all requests.",
            file=sys.stderr,
        )
    return 1


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
            yield f"    read: {_readings(entry)}"
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
        yield f"  {entry['reason']} rested on: {_readings(entry)}"


def _readings(entry: dict[str, Any]) -> str:
    """Return what a decision rested on, but for what nothing was known of."""
    return ", ".join(f"{k} {v:g}" for k, v in entry["readings"].items() if v is not None)


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
