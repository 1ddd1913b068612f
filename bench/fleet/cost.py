"""What an exchange costs the server and a governor, among 3 and among 1,000.

*Rule of this file*: the server is real, and says itself what it used (INFO). Rows are those of a
real gate under changing load, recorded once and sent under many names; so a thousand governors
cost the server what a thousand would, from one process.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from typing import Any

from bench.children import BenchError
from bench.fleet.redis_server import RedisServer, find_server
from bench.fleet.simulation import make_crew
from governor.config.fleet import Fleet as FleetConfig
from governor.core.arrival import Arrival
from governor.fleet.client import DIGEST, SCRIPT, Talker, make_client
from governor.fleet.fleet import keys_of
from governor.fleet.member import WHOLE_ROW, Call, Member
from governor.fleet.row import pack_changes
from policies.decision import Action, Outcome

N_ROWS = 50
LIFE_MS = 5_000


def load(member: Member, rng: random.Random, now_ns: int) -> None:
    """Let a few calls through a gate, so that its next row differs as rows under load do."""
    gate = member.gate
    for _ in range(rng.randrange(2, 12)):
        flow = rng.randrange(1, 1000)
        decision = gate.arrive(now_ns, Arrival(flow=flow, tree=flow, is_identified=True))
        if decision.action is Action.ADMIT and rng.random() < 0.9:
            gate.depart(now_ns + 1_000_000, decision.lease, Outcome.COMPLETED, 200)
    gate.tick(now_ns)


def recorded_rows(rng: random.Random) -> list[list[int]]:
    """Return the rows of one gate, one per exchange."""
    (member,) = make_crew(1, 32, 1, is_shared=True).members
    rows = []
    for idx in range(N_ROWS):
        load(member, rng, (idx + 1) * 100_000_000)
        member.call(0)
        rows.append(list(member.own))
    return rows


async def server_cost(url: str, n: int, n_rounds: int, rows: list[list[int]]) -> dict[str, float]:
    """Return what one exchange of one of n governors costs the server."""
    client = make_client(FleetConfig(url=url, timeout="5s"))
    await client.flushall()
    await client.script_load(SCRIPT)
    keys = keys_of("bench", f"of-{n}", ["http://x"])

    async def exchange(idx: int, turn: int) -> list[Any]:
        before = rows[(idx + turn - 1) % N_ROWS] if turn else [0] * len(rows[0])
        call = Call(
            turn + 1,
            turn if turn else WHOLE_ROW,
            pack_changes(before, rows[(idx + turn) % N_ROWS]),
            LIFE_MS,
            1000 + idx,
            b"",
        )
        return list(await client.evalsha(DIGEST, 2, *keys, f"member-{idx:06d}", *call))

    for turn in range(2):
        for idx in range(n):
            await exchange(idx, turn)
    before = {**await client.info("cpu"), **await client.info("stats")}
    began_s = time.perf_counter()
    n_done = n_numbers = 0
    for turn in range(2, 2 + n_rounds):
        for idx in range(n):
            reply = await exchange(idx, turn)
            n_done += reply[0] == 1
            n_numbers += len(reply)
    took_s = time.perf_counter() - began_s
    after = {**await client.info("cpu"), **await client.info("stats")}
    memory = await client.memory_usage(keys[0]) + await client.memory_usage(keys[1])
    await client.aclose()
    total = n * n_rounds
    if n_done != total:
        raise BenchError(f"{total - n_done} of {total} exchanges were not taken")

    def used(name: str) -> float:
        return (after[name] - before[name]) / total

    return {
        "exchanges": total,
        "server_cpu_us": 1e6
        * (used("used_cpu_user_main_thread") + used("used_cpu_sys_main_thread")),
        "bytes_to_server": used("total_net_input_bytes"),
        "bytes_from_server": used("total_net_output_bytes"),
        "numbers_heard": n_numbers / total,
        "wall_us": 1e6 * took_s / total,
        "server_memory_kib": memory / 1024,
    }


async def governor_cost(url: str, n_exchanges: int) -> dict[str, float]:
    """Return what an exchange costs one of three governors, all of it: row, client, view."""
    config = FleetConfig(url=url)
    client = make_client(config)
    rng = random.Random(7)
    crew = make_crew(3, 32, 1, is_shared=True)
    keys = keys_of("bench", "of-real", ["http://x"])
    talkers = [
        Talker(client, member, keys, b"real-%d" % idx, config)
        for idx, member in enumerate(crew.members)
    ]
    spent_s = 0.0
    trips = []
    for turn in range(n_exchanges):
        for talker in talkers:
            load(talker.member, rng, (turn + 1) * 100_000_000)
            began_s = time.process_time()
            if not await talker.exchange():
                raise BenchError(f"an exchange failed: {talker.counts.last_error}")
            spent_s += time.process_time() - began_s
            trips.append(talker.counts.last_ns)
    await client.aclose()
    trips.sort()
    return {
        "exchanges": float(len(trips)),
        "governor_cpu_us": 1e6 * spent_s / len(trips),
        "round_trip_p50_us": trips[len(trips) // 2] / 1e3,
        "round_trip_p99_us": trips[int(0.99 * len(trips))] / 1e3,
        "round_trips": sum(x.counts.n_done for x in talkers) / len(trips),
    }


def main(argv: list[str]) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench fleet cost", description=__doc__)
    parser.add_argument("--governors", default="3,1000", help="numbers, comma-separated")
    parser.add_argument("--exchanges", type=int, default=4_000, help="at least so many each")
    options = parser.parse_args(argv)
    path = find_server()
    if path is None:
        raise BenchError("no redis-server or valkey-server: apt-get install redis-server")
    server = RedisServer(path)
    server.start()
    try:
        rows = recorded_rows(random.Random(3))
        for n in map(int, options.governors.split(",")):
            n_rounds = max(1, options.exchanges // n)
            found = asyncio.run(server_cost(server.url, n, n_rounds, rows))
            print(f"{n} governors: " + ", ".join(f"{x} {y:.1f}" for x, y in found.items()))
        found = asyncio.run(governor_cost(server.url, options.exchanges // 8))
        print("one of 3 real: " + ", ".join(f"{x} {y:.1f}" for x, y in found.items()))
    finally:
        server.kill()
    return 0
