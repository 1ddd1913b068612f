"""Everything that the dashboard shows, beat by beat, bounded whatever the process serves.

*Rule of this file*: reading, and the memory of the last minutes. What is read of
every upstream is a row of numbers; sentences are made for those in trouble and,
in turns, for a few of the others.

*Cost*: measured by the hub, which slows its beat to stay within its share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any

import governor
from governor.control.dashboard.episodes import OPENING, Episodes
from governor.control.dashboard.rows import COLUMNS, FORECAST_POINTS, PLACES, SIGNS, TOTALS, Row
from governor.control.dashboard.sentences import put_decisions_in_words
from governor.control.dashboard.switch import SWITCHES, describe_policies
from governor.control.dashboard.who import describe_costliest
from governor.control.health import compute_readiness
from governor.control.shaping import put_shaping_in_words
from governor.control.state import describe_culprits
from governor.control.view import RuntimeView
from governor.control.words import put_in_words

Json = dict[str, Any]

HISTORY_NUMBERS = 40_000
"""Kept and sent to a new viewer: two minutes of a few upstreams, less of many; some 200 KB."""
HISTORY_BEATS = 240
TROUBLED_MAX = 6
"""Upstreams in trouble whose sentences are renewed each beat, and of the others:"""
OTHERS_MAX = 2
WHO_EVERY = 3
"""Beats between two looks at a table of identities."""
CULPRITS_MAX = 5
ROWS_A_STEP = 8
"""Upstreams read before calls get their turn: about half a millisecond."""
SAID_KEPT = 40
"""Sentences that a new viewer is sent."""
ENTRIES_MAX = 1_000
"""Decisions read a beat: the whole ring."""

_SIGNS_AT = COLUMNS.index("signs")
_PENDING_AT = COLUMNS.index("pending")
_ARRIVALS_AT = COLUMNS.index("arrivals_hz")
_IN_FLIGHT_AT = COLUMNS.index("in_flight")
_WAITING_AT = COLUMNS.index("waiting_own")


class Snapshots:
    """Makes the frames of one runtime.

    Parameters
    ----------
    runtime : RuntimeView
    now_ns, unix_now_ns : int
        The same instant on the monotonic and on the wall clock.
    """

    def __init__(self, runtime: RuntimeView, now_ns: int, unix_now_ns: int) -> None:
        self._runtime = runtime
        self._names = list(runtime.gates)
        self._rows = [Row(gate, idx) for idx, gate in enumerate(runtime.gates.values())]
        self._episodes = Episodes()
        n_numbers = max(1, len(self._rows) * len(COLUMNS))
        self._past: deque[tuple[float, list[list[float]]]] = deque(
            maxlen=max(10, min(HISTORY_BEATS, HISTORY_NUMBERS // n_numbers))
        )
        self._sampled_at_ns = now_ns
        self._sampled_at_s = unix_now_ns / 1e9
        self._started_s = round((unix_now_ns - now_ns + runtime.started_at_ns) / 1e9, 2)
        self._n_seen = 0
        self._said: deque[tuple[object, ...]] = deque(maxlen=SAID_KEPT)
        self._read_decisions(unix_now_ns - now_ns)  # what was decided before anybody watched
        self._n_beats = 0
        self._next_told = 0

    def hello(self) -> Json:
        """Return what a new viewer needs before its first frame."""
        runtime = self._runtime
        config = runtime.config
        return {
            "version": governor.__version__,
            "upstreams": self._names,
            "endpoints": {
                name: list(upstream.endpoints) for name, upstream in config.upstreams.items()
            },
            "started_s": self._started_s,
            "listeners": [str(listener.address) for listener in config.listeners],
            "policies": describe_policies(config),
            "in_fleet": config.fleet is not None,
            "columns": COLUMNS,
            "totals": TOTALS,
            "signs": SIGNS,
            "forecast_step_s": 4.0 / FORECAST_POINTS,
            "said": list(self._said),
            "history": [[at_s, rows] for at_s, rows in self._past],
        }

    def beat(self, now_ns: int, unix_now_ns: int, every_s: float) -> Json:
        """Return the next frame, made in one go; see :meth:`steps`."""
        steps = self.steps(now_ns, unix_now_ns, every_s)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                frame: Json = done.value
                return frame

    def steps(self, now_ns: int, unix_now_ns: int, every_s: float) -> Generator[None, None, Json]:
        """Make the next frame step by step, so that calls go on between; return it at the end.

        Parameters
        ----------
        now_ns, unix_now_ns : int
            The same instant on the monotonic and on the wall clock.
        every_s : float
            How far apart frames are now.
        """
        runtime = self._runtime
        self._n_beats += 1
        now_s = round(unix_now_ns / 1e9, 2)
        yield from self._sample(now_ns, now_s)
        histories = [row.history for row in self._rows]
        self._past.append((now_s, histories))
        frame: Json = {
            "t": now_s,
            "every_s": round(every_s, 2),
            "lag_s": round(runtime.lag.recent_s, 4),
            "status": compute_readiness(runtime)[1],
            "modes": read_modes(runtime),
            "rows": histories,
            "totals": [row.totals for row in self._rows],
            "episodes": [episode.describe() for episode in self._episodes.kept],
            "fanout": self._describe_fanout(),
            "forecast": [],
        }
        for idx, row in enumerate(self._rows):
            frame["forecast"].append(row.forecast())
            if idx % ROWS_A_STEP == ROWS_A_STEP - 1:
                yield
        yield
        frame["words"] = self._tell()
        yield
        frame["decisions"] = self._read_decisions(unix_now_ns - now_ns)
        yield
        if self._n_beats % WHO_EVERY == 1:
            frame["who"] = self._describe_who()
        return frame

    # -- parts ---------------------------------------------------------------

    def _sample(self, now_ns: int, now_s: float) -> Generator[None, None, None]:
        elapsed_s = (now_ns - self._sampled_at_ns) / 1e9
        before_s = self._sampled_at_s
        self._sampled_at_ns, self._sampled_at_s = now_ns, now_s
        for idx, (name, row) in enumerate(zip(self._names, self._rows, strict=True)):
            if idx % ROWS_A_STEP == ROWS_A_STEP - 1:
                yield
            row.sample(elapsed_s)
            history = row.history
            self._episodes.observe(
                name,
                before_s,
                now_s,
                int(history[_SIGNS_AT]),
                arrivals_hz=history[_ARRIVALS_AT],
                in_flight=history[_IN_FLIGHT_AT],
                waiting=sum(history[_WAITING_AT : _WAITING_AT + 3]),
            )

    def _tell(self) -> dict[str, list[str]]:
        """Return sentences of those in trouble and of the next few others."""
        n = len(self._rows)
        troubled = [
            idx for idx, row in enumerate(self._rows) if int(row.history[_SIGNS_AT]) & OPENING
        ]
        turns = [(self._next_told + step) % n for step in range(min(n, OTHERS_MAX))] if n else []
        if n:
            self._next_told = (self._next_told + OTHERS_MAX) % n
        if len(troubled) > TROUBLED_MAX:
            start = self._n_beats % len(troubled)
            troubled = (troubled + troubled)[start : start + TROUBLED_MAX]
        gates, identities = self._runtime.gates, self._runtime.identities
        found: dict[str, list[str]] = {}
        for idx in dict.fromkeys(troubled + turns):
            gate = gates[self._names[idx]]
            readings = {reading.name: reading for reading in gate.signals.read()}
            found[self._names[idx]] = [
                *put_in_words(readings, identities.tenants.label, identities.trees.label),
                *put_shaping_in_words(gate),
            ]
        return found

    def _read_decisions(self, offset_ns: int) -> Json:
        log = self._runtime.decision_log
        n_new = log.n_appended - self._n_seen
        self._n_seen = log.n_appended
        entries = log.last(min(n_new, ENTRIES_MAX)) if n_new > 0 else []
        said = put_decisions_in_words(entries, offset_ns, self._runtime.identities.flows.label)
        told = [tuple(x) for x in said]
        self._said.extendleft(reversed(told))
        return {"n": n_new, "said": told}

    def _describe_fanout(self) -> Json:
        """Return what trees do, over all upstreams."""
        for gate in self._runtime.gates.values():  # the first: trees are the process's
            label = self._runtime.identities.trees.label
            readings = gate.signals.state.readings["value"]
            latest = [
                {
                    "tree": label(x.tree),
                    "upstream": self._names[x.upstream] if x.upstream < len(self._names) else "",
                    "age_s": round(x.age_s, 1),
                    "peak_calls": x.peak,
                    "is_over": x.ended_s >= 0,
                }
                for x in gate.signals.explosions()[:CULPRITS_MAX]
            ]
            live, trees = (int(readings[PLACES[name]]) for name in ("fanout_live", "fanout_trees"))
            return {"live": live, "trees": trees, "latest": latest}
        return {"live": 0, "trees": 0, "latest": []}

    def _describe_who(self) -> Json:
        """Return one identity table, and whose failed calls are awaited where most are."""
        identities = self._runtime.identities
        tables = (identities.flows, identities.tenants, identities.trees)
        table = tables[self._n_beats // WHO_EVERY % len(tables)]
        found: Json = {"table": table.prefix, **describe_costliest(identities, table)}
        most = max(self._rows, key=lambda row: row.history[_PENDING_AT], default=None)
        if most is not None and most.history[_PENDING_AT] > 0:
            name = self._names[self._rows.index(most)]
            culprits = self._runtime.gates[name].signals.culprits(CULPRITS_MAX)
            found["awaited"] = {"upstream": name, **describe_culprits(culprits, identities)}
        return found


def read_modes(runtime: RuntimeView) -> dict[str, str]:
    """Return what each switch stands at."""
    policies = runtime.config.policies
    return {name: getattr(policies, name) for name in SWITCHES}
