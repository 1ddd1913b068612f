"""``python -m bench dashboard``: what watching costs the proxy, and how smooth the pages are.

*Rule of this file*: one Governor with many upstreams and flows, a trickle of calls so that every
number moves, and its processor time with nobody, one and all viewers of the stream, and with the
agents' page asked as that page asks. Each round begins with another scene and goes the other way
round, so that a drift or a busy neighbour meets all alike, and what is compared is of one round.

With a Chromium, both pages are opened too: milliseconds of script for each update,
and of everything (script, style, layout, paint) a second.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from math import sqrt
from pathlib import Path
from statistics import median, stdev
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from playwright.async_api import async_playwright

from bench.children import HOST, Child, free_port
from bench.dashboard_picture import find_browser
from bench.peers.governor import PROGRAM
from bench.report import save, table

CONNECTIONS = 32
VIEWERS = 16
"""As many as the stream takes."""
START_S = 300.0
PAGE_S = 12.0
SETTLE_S = 2.0
COUNT_UPDATES = """
  window.spentMs = [];
  const wait = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => wait((t) => {
    const began = performance.now(); draw(t); window.spentMs.push(performance.now() - began);
  });
"""


class World:
    """A Governor of many upstreams, one origin behind all, and calls of many flows."""

    def __init__(self, n_upstreams: int, n_flows: int) -> None:
        self.n_upstreams, self.n_flows = n_upstreams, n_flows
        self.port, self.admin_port, self._origin_port = (free_port() for _ in range(3))
        folder = Path(tempfile.mkdtemp(prefix="bench-dashboard-"))
        names = [f"up{n:02d}" for n in range(n_upstreams)]
        origin = {"endpoints": [f"http://{HOST}:{self._origin_port}"]}
        config = {
            "listeners": [{"address": f"{HOST}:{self.port}"}],
            "admin": {"address": f"{HOST}:{self.admin_port}"},
            "upstreams": {name: origin for name in names},
            "routes": [{"match": {"path_prefix": f"/{x}/"}, "upstream": x} for x in names],
            "agents_default": {"rate": "50/s", "fan_out": 20},
            "access_log": {"mode": "off"},
        }
        file = folder / "governor.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [*PROGRAM, "run", "--config", str(file)]
        self.child = Child("governor", command, None, folder / "log", {}, folder)
        self.session: aiohttp.ClientSession
        self._runner: web.AppRunner
        self._rate = asyncio.Semaphore(CONNECTIONS)

    async def start(self) -> None:
        """Serve the origin, wait for Governor, make one call of every flow."""

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text="ok")

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._origin_port).start()
        await asyncio.to_thread(self.child.wait_port, self.port, START_S)
        connector = aiohttp.TCPConnector(limit=4 * CONNECTIONS)
        self.session = aiohttp.ClientSession(
            f"http://{HOST}:{self.admin_port}", connector=connector
        )
        began_s = time.monotonic()
        await asyncio.gather(*(self.call(n) for n in range(self.n_flows)))
        print(f"{self.n_flows:,} flows known after {time.monotonic() - began_s:.0f} s", flush=True)

    async def call(self, n: int) -> None:
        """Make one call as the ``n``-th flow."""
        url = f"http://{HOST}:{self.port}/up{n % self.n_upstreams:02d}/x"
        headers = {"x-governor-flow": f"f{n}", "x-governor-tenant": f"t{n % 300}"}
        async with self._rate, self.session.get(url, headers=headers) as answer:
            await answer.read()

    async def trickle(self, rate_hz: float) -> None:
        """Call as one flow after the other, until cancelled."""
        calls: set[asyncio.Task[None]] = set()
        n = 0
        while rate_hz > 0:
            task = asyncio.create_task(self.call(n % self.n_flows))
            calls.add(task)
            task.add_done_callback(calls.discard)
            n += 37
            await asyncio.sleep(1.0 / rate_hz)

    async def stop(self) -> None:
        """End everything."""
        await self.session.close()
        await asyncio.to_thread(self.child.stop)
        await self._runner.cleanup()


async def watch(world: World) -> None:
    """Read the stream as a page does, which asks again where all places are taken."""
    while True:
        async with world.session.get("/stream", timeout=aiohttp.ClientTimeout()) as answer:
            async for _ in answer.content.iter_any():
                pass
        await asyncio.sleep(0.5)


async def look_at_agents(world: World) -> None:
    """Ask every three seconds what the agents' page asks."""
    while True:
        async with world.session.get("/agents?sort=cost&state=any&limit=25&offset=0") as answer:
            first = (await answer.json())["agents"][0]["id"]
        for path in (f"/agents/{first}", "/audit?last=50"):
            async with world.session.get(path) as answer:
                await answer.read()
        await asyncio.sleep(3.0)


SCENES: dict[str, list[Callable[[World], Awaitable[None]]]] = {
    "nobody watches": [],
    "one viewer": [watch],
    f"{VIEWERS} viewers": [watch] * VIEWERS,
    "one agents' page": [look_at_agents],
}


async def measure(world: World, scene: str, seconds: float) -> float:
    """Return the share of a core that Governor takes in this scene."""
    tasks = [asyncio.ensure_future(actor(world)) for actor in SCENES[scene]]
    await asyncio.sleep(SETTLE_S)
    began_s, before_s = time.monotonic(), world.child.usage().cpu_s
    await asyncio.sleep(seconds)
    share = (world.child.usage().cpu_s - before_s) / (time.monotonic() - began_s)
    for task in tasks:
        task.cancel()
    for done in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(done, asyncio.CancelledError):
            raise RuntimeError(f"{scene}: a viewer was lost: {done!r}")
    await asyncio.sleep(SETTLE_S)  # a place is free again when the next frame finds nobody there
    print(f"{scene}: {share:.2%} of a core", flush=True)
    return share


async def measure_pages(world: World) -> list[list[str]]:
    """Return a line for each page: what its updates cost a browser."""
    program = find_browser()
    if not program:
        return []
    rows = []
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=program, args=flags)
        for path, width in (("/dashboard", 1440), ("/dashboard", 390), ("/agents.html", 1440)):
            page = await browser.new_page(viewport={"width": width, "height": 900})
            await page.add_init_script(COUNT_UPDATES)
            await page.goto(f"http://{HOST}:{world.admin_port}{path}")
            await page.wait_for_selector("body[data-has-numbers]")
            rows.append([path, f"{width}", *await read_page(page)])
            await page.close()
        await browser.close()
    return rows


async def read_page(page: Any) -> list[str]:
    """Return updates, their script's median and most, and all work a second, of one page."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable")

    async def busy_s() -> float:
        metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
        return float(next(x["value"] for x in metrics if x["name"] == "TaskDuration"))

    await page.evaluate("window.spentMs = []")
    before_s = await busy_s()
    await asyncio.sleep(PAGE_S)
    spent_ms = await page.evaluate("window.spentMs")
    all_ms = 1e3 * (await busy_s() - before_s) / PAGE_S
    if not spent_ms:  # the agents' page draws nothing: it writes text when answers come
        return ["–", "–", "–", f"{all_ms:.0f}"]
    return [f"{len(spent_ms)}", f"{median(spent_ms):.1f}", f"{max(spent_ms):.1f}", f"{all_ms:.0f}"]


async def run(options: argparse.Namespace) -> tuple[dict[str, list[float]], list[list[str]]]:
    """Return the shares by scene, and the pages' lines."""
    world = World(options.upstreams, options.flows)
    shares = defaultdict(list)
    await world.start()
    trickle = asyncio.create_task(world.trickle(options.trickle))
    try:
        for number in range(options.rounds):
            turned = [*SCENES][number % len(SCENES) :] + [*SCENES][: number % len(SCENES)]
            for scene in turned if number % 2 == 0 else turned[::-1]:
                shares[scene].append(await measure(world, scene, options.seconds))
        pages = await measure_pages(world)
    finally:
        trickle.cancel()
        await asyncio.sleep(1.0)  # its last calls
        await world.stop()
    return shares, pages


def describe_added(found: list[float], alone: list[float]) -> list[str]:
    """Return the median of the rounds' differences, and the standard error of their mean."""
    added = [x - y for x, y in zip(found, alone, strict=True)]
    error = stdev(added) / sqrt(len(added)) if len(added) > 1 else 0.0
    return [f"{median(added):+.2%}", f"±{error:.2%}"]


def main(argv: list[str]) -> int:
    """Run the measurement."""
    parser = argparse.ArgumentParser(prog="bench dashboard", description=__doc__)
    parser.add_argument("--upstreams", type=int, default=50)
    parser.add_argument("--flows", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each window")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--trickle", type=float, default=10.0, help="calls a second meanwhile")
    options = parser.parse_args(argv)
    shares, pages = asyncio.run(run(options))
    rows = [
        [
            scene,
            f"{median(found):.2%}",
            f"{min(found):.2%} to {max(found):.2%}",
            *describe_added(found, shares["nobody watches"]),
        ]
        for scene, found in shares.items()
    ]
    head = [f"{options.upstreams} upstreams", "of a core", "range", "added", "standard error"]
    text = table(head, rows)
    head = ["page", "width", "updates", "script ms, median", "most", "all work, ms a second"]
    text += "\n\n" + table(head, pages) if pages else ""
    save("dashboard", " ".join(["dashboard", *argv]), text, {"rows": rows, "pages": pages})
    return 0
