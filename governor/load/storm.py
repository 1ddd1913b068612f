"""A storm from its start to its records: who runs when, behind what.

*Rule of this file*: the order of things. Each run of a side has processes of its
own: the fleet, a gate if one is needed, a Governor if it is the governed side,
all new, so that no side profits from what another has taught it.

*Theory*: sides that share a service must not run at the same time, for the trouble
of one would be the other's. They take turns, in an order that is reversed each
round, so that a drift of the machine meets both alike; a round has one seed, so
both meet the same demand. Between two runs the service works off what the first left
behind, for its callers' leaving does not end that work: one call waits for it at
the end of the service's own line.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from governor.load import targets
from governor.load.calls import Agent
from governor.load.children import Child, ChildError
from governor.load.figures import Figures, SideRecord, figures
from governor.load.http1 import CallerConnection
from governor.load.opening import SESSION_HEADER, STEPS
from governor.load.plan import Group, plan_to_json
from governor.load.record import record_from_json
from governor.load.wire import Names, Writer
from governor.load.words import DRAIN_S, Side, Storm

START_S = 20.0
GOVERNOR_START_S = 600.0
"""The first start of an installation compiles: minutes on a small machine."""
SILENCE_S = 60.0
PROBE_S = 10.0
REST_S = 30.0
"""How long a service may take to come to rest between two runs."""

Progress = dict[str, Any]
OnTurn = Callable[[int, str], None]
OnProgress = Callable[[Progress], None]


@dataclass
class Outcome:
    """What came of a storm."""

    runs: dict[str, list[SideRecord]] = field(default_factory=dict)
    is_interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    def figures(self, seconds: float) -> dict[str, Figures]:
        """Return each side's numbers."""
        return {name: figures(runs, seconds) for name, runs in self.runs.items() if runs}


@dataclass
class Stand:
    """A side ready to be loaded."""

    side: Side
    url: str
    gate: Child | None


@contextlib.contextmanager
def stand(storm: Storm, side: Side) -> Iterator[Stand]:
    """Start what stands before the service, and end it afterwards."""
    with contextlib.ExitStack() as stack:
        url, gate = side.url, None
        prefix = targets.parse(side.url).prefix
        if storm.needs_gate:
            words = ["--target", side.url, "--seed", str(storm.seed)]
            for fault in storm.faults:
                words += ["--fault", fault]
            gate = Child("the fault gate", "governor.load.gate_process", words)
            stack.callback(gate.stop)
            url = gate.line(START_S).removeprefix("gate ") + prefix
        if side.is_governed:
            upstream = url.removesuffix(prefix)
            proxy = Child(
                "Governor",
                "governor.load.tied",
                ["governor", "run", "--upstream", upstream]
                + ["--listen", "127.0.0.1:0", "--admin", "off"],
            )
            stack.callback(proxy.stop, with_signal=True)
            url = proxy.line(GOVERNOR_START_S).removeprefix("proxy").strip() + prefix
        yield Stand(side, url, gate)


def turns(storm: Storm) -> Iterator[tuple[int, tuple[Side, ...]]]:
    """Yield (round, sides that run at the same time), in order."""
    for number in range(storm.rounds):
        if storm.at_once:
            yield number, storm.sides
            continue
        for side in storm.sides if number % 2 == 0 else reversed(storm.sides):
            yield number, (side,)


def play(storm: Storm, on_turn: OnTurn, on_progress: OnProgress) -> Outcome:
    """Run it all; Ctrl-C ends the run under way, and what was measured is returned.

    Raises
    ------
    ChildError
        If one of the processes did not do its part.
    """
    outcome = Outcome({side.name: [] for side in storm.sides})
    for number, sides in turns(storm):
        on_turn(number, " and ".join(side.name for side in sides))
        try:
            if any(outcome.runs.values()):
                _rest(storm, sides, outcome)
            with contextlib.ExitStack() as stack:
                stands = [stack.enter_context(stand(storm, side)) for side in sides]
                _play_turn(storm, number, stands, on_progress, outcome)
        except KeyboardInterrupt:
            outcome.is_interrupted = True
        if outcome.is_interrupted:
            break
    return outcome


def _rest(storm: Storm, sides: tuple[Side, ...], outcome: Outcome) -> None:
    """Wait until the service has worked off what the last run left behind."""
    for side in sides:
        try:
            is_at_rest = asyncio.run(probe(side.url, storm.groups[0], REST_S)) > 0
        except OSError:
            is_at_rest = False
        note = f"{side.name}: the service was not at rest {REST_S:.0f} s after the run before."
        if not is_at_rest and note not in outcome.notes:
            outcome.notes.append(note)


def _play_turn(
    storm: Storm,
    number: int,
    stands: list[Stand],
    on_progress: OnProgress,
    outcome: Outcome,
) -> None:
    """Run one fleet against what stands, and add its record to the outcome."""
    with tempfile.TemporaryDirectory(prefix="governor-storm-") as folder:
        plan_file, out_file = Path(folder) / "plan.json", Path(folder) / "out.json"
        plan_file.write_bytes(plan_to_json(storm.plan(tuple(s.url for s in stands), number)))
        words = [str(plan_file), str(out_file), "--child"]
        fleet = Child("the fleet", "governor.load", words)
        try:
            _follow(fleet, stands, on_progress, outcome)
            if fleet.wait(storm.seconds + DRAIN_S + SILENCE_S) != 0:
                raise ChildError(f"the fleet ended: {fleet.complaint()}")
        finally:
            fleet.stop()
        record = record_from_json(out_file.read_bytes())
    for target, ready in enumerate(stands):
        log = None
        if ready.gate is not None:
            ready.gate.tell("log")
            log = [(int(n), float(s)) for n, s in orjson.loads(ready.gate.line(START_S))["log"]]
        outcome.runs[ready.side.name].append(SideRecord(record, target, log))


def _follow(fleet: Child, stands: list[Stand], on_progress: OnProgress, outcome: Outcome) -> None:
    """Show progress until the fleet is done; its first word starts the faults' clock."""
    has_begun = False
    lines = fleet.lines(SILENCE_S)
    while True:
        try:
            line = next(lines, None)
            if line is None:
                return
            progress: Progress = orjson.loads(line)
            if not has_begun:
                has_begun = True
                for ready in stands:
                    if ready.gate is not None:
                        ready.gate.tell(f"begin {progress['began_s']!r}")
            on_progress(progress)
        except KeyboardInterrupt:
            if outcome.is_interrupted:
                raise
            outcome.is_interrupted = True
            fleet.end_input()
            lines = fleet.lines(SILENCE_S)


async def probe(url: str, group: Group, patience_s: float = PROBE_S) -> int:
    """Return the status of one call as the group makes it; 0 for no answer in time.

    Raises
    ------
    OSError
        If nobody can be connected to.
    """
    loop = asyncio.get_running_loop()
    target = await targets.resolve(url, loop)
    writer = Writer(group, target.host_header, target.prefix, 1)
    agent = Agent(0, 0, Names("", ""), writer.head(0, Names("", "")), group.client)
    session = ""
    async with asyncio.timeout(PROBE_S):
        connection = await target.connect(CallerConnection)
    try:
        async with asyncio.timeout(patience_s):
            for step in range(len(STEPS) if writer.has_opening else 0):
                status, headers = await _ask(connection, agent.write_step(step, session))
                session = headers.get(SESSION_HEADER, session)
                if not 200 <= status < 300:
                    return status
            agent.opened(session)
            request = writer.request(agent.head)
            return (await _ask(connection, request, is_stream=group.is_stream))[0]
    except TimeoutError:
        return 0
    finally:
        connection.leave()


async def _ask(
    connection: CallerConnection, request: bytes, *, is_stream: bool = False
) -> tuple[int, dict[str, str]]:
    """Return status and kept headers of an answer; of a stream, at its first byte."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[tuple[int, dict[str, str]]] = loop.create_future()

    def on_reply(status: int, headers: dict[str, str]) -> None:
        if not answered.done():
            answered.set_result((status, headers))

    def on_first_byte() -> None:
        if is_stream:
            loop.call_soon(on_reply, 200, {})

    connection.send(request, on_reply, on_first_byte)
    return await answered
