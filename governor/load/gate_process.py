"""``python -m governor.load.gate_process --target URL --fault WORD ...``: a gate as a child.

*Rule of this file*: the process around a gate. It prints ``gate URL`` when it
listens, then obeys lines on standard input: ``begin SECONDS`` (the run's start on
the monotonic clock) and ``log`` (answered by one line of JSON). The end of
standard input is its own end: its parent's, however that came.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys

import orjson
import uvloop

from governor.load.faults import Schedule, parse_fault
from governor.load.files import allow_files
from governor.load.gate import Gate
from governor.load.gate_connections import CallerSide
from governor.load.targets import resolve
from governor.load.wire import HOST

MAX_CALLERS = 12_000
"""Connections on each side that the gate asks for, where the system allows it."""


class Orders(asyncio.Protocol):
    """Standard input, line by line."""

    def __init__(self, gate: Gate, over: asyncio.Event) -> None:
        self._gate = gate
        self._over = over
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Obey whole lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            if word == "begin":
                self._gate.begin(float(value))
            elif word == "log":
                answer = {"log": self._gate.log, "open": len(self._gate.exchanges)}
                sys.stdout.write(orjson.dumps(answer).decode() + "\n")
                sys.stdout.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the parent."""
        self._over.set()


async def serve(target: str, words: list[str], seed: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    schedule = Schedule(tuple(parse_fault(word) for word in words))
    gate = Gate(await resolve(target, loop), schedule, seed)
    callers: set[CallerSide] = set()

    def make() -> CallerSide:
        caller = CallerSide(gate, callers.discard)
        callers.add(caller)
        return caller

    server = await loop.create_server(make, HOST, 0, backlog=4096)
    over = asyncio.Event()
    os.set_blocking(sys.stdin.fileno(), False)
    await loop.connect_read_pipe(lambda: Orders(gate, over), sys.stdin)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us when it has what it needs
    print(f"gate http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await over.wait()
    server.close()
    gate.close()


def main(argv: list[str]) -> None:
    """Run a gate."""
    parser = argparse.ArgumentParser(prog="python -m governor.load.gate_process")
    parser.add_argument("--target", required=True)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    gc.disable()
    with contextlib.suppress(OSError):
        allow_files(2 * MAX_CALLERS)
    uvloop.run(serve(options.target, options.fault, options.seed))


if __name__ == "__main__":
    main(sys.argv[1:])
