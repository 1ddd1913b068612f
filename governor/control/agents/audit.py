"""Who held, quarantined or released whom, and what was switched: append-only JSON lines.

*Rule of this file*: acts only, by people and by envelopes. Each goes to the log, to
``admin.audit_file`` where there is one, and to a ring that the page reads. A person appears as
the salted id of the token, an agent as its configured name and the salted id of
its flow. A switch asks for no token but for a caller on this machine, and so that is who.

The ids of flows change when Governor starts anew, for their salt does; the ids of
tokens do not. A disk that fails costs lines, never acts, and is counted.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from governor.core.registry import Event, Registry

N_KEPT = 1_000
"""Acts on the page; the file keeps all."""
MAX_TAIL_BYTES = 1 << 20
"""Of an old file, what is read at the start: some 4,000 acts."""
ACTS = frozenset(("held", "quarantined", "released"))

AT_THIS_MACHINE = "this machine"
"""Who threw a switch: nothing more is known of them."""

_log = logging.getLogger("governor.audit")


def token_id(token: str) -> str:
    """Return what stands for a token in the trail: 32 bits of a keyed hash.

    Examples
    --------
    >>> token_id("a") == token_id("a") != token_id("b")
    True
    """
    digest = blake2b(token.encode(), digest_size=4, key=b"governor audit trail")
    return f"token-{digest.hexdigest()}"


class AuditTrail:
    """The acts of one process, and those that its file tells of.

    Parameters
    ----------
    path : str or None
        File to append to.

    Attributes
    ----------
    n_faults : int
        Acts that could not be written to the file.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._kept: deque[dict[str, Any]] = deque(maxlen=N_KEPT)
        self._n_seen = 0
        self.n_faults = 0

    def open(self) -> None:
        """Read the latest acts of an existing file, and see that it can be appended to.

        Raises
        ------
        OSError
            If it cannot.
        """
        if self._path is None:
            return
        with self._path.open("a+b") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_TAIL_BYTES))
            lines = file.read().splitlines()
        self._path.chmod(0o600)
        for line in lines[-N_KEPT:]:
            try:
                act = json.loads(line)
            except ValueError:
                continue  # cut off at the beginning of the tail, or by a full disk
            if isinstance(act, dict):
                self._kept.append(act)

    def collect(self, registry: Registry, now_ns: int, unix_now_ns: int) -> None:
        """Take in the acts that the registry tells of since the last time."""
        n_new = registry.n_events - self._n_seen
        if n_new <= 0:
            return
        self._n_seen = registry.n_events
        offset_ns = unix_now_ns - now_ns
        events = list(registry.events)[-n_new:]
        acts = [_describe(event, offset_ns) for event in events if event.kind in ACTS]
        if acts:
            self._write(acts)

    def note_switch(self, name: str, before: str, to: str, unix_now_ns: int) -> None:
        """Take in that a policy, or with ``mode`` everything, was switched."""
        act = {
            "time": _iso(unix_now_ns / 1e9),
            "who": AT_THIS_MACHINE,
            "what": "switched",
            "policy": name,
            "why": f"from {before} to {to}",
        }
        self._write([act])

    def last(self, n: int) -> list[dict[str, Any]]:
        """Return up to ``n`` acts, newest first."""
        return list(reversed(self._kept))[:n]

    def _write(self, acts: list[dict[str, Any]]) -> None:
        self._kept.extend(acts)
        lines = [json.dumps(act, separators=(",", ":")) for act in acts]
        for line in lines:
            _log.warning("%s", line)
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
        except OSError as error:
            self.n_faults += len(lines)
            _log.error("the audit file cannot be written: %s", error)


def _describe(event: Event, offset_ns: int) -> dict[str, Any]:
    return {
        "time": _iso((event.at_ns + offset_ns) / 1e9),
        "who": event.by,
        "what": event.kind,
        "id": event.flow,
        "agent": event.agent or None,
        "why": event.why,
    }


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds")
