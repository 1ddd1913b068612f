"""The pages in a real browser: Debian's Chromium, driven by Playwright, nothing from elsewhere.

Playwright brings no browser of its own here: whatever is installed is used, and where none is,
these tests say so and are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.world import TOKEN, World
from tests.support.governed import ROOT, Governor

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 30_000
"""Of every wait: a machine that is busy with other tests is slow, not wrong."""

Open = Callable[..., Page]


def find_browser() -> str:
    """Return the browser's program; empty where there is none."""
    named = os.environ.get("GOVERNOR_BROWSER", "")
    return named or next(filter(None, map(shutil.which, BROWSERS)), "")


def keep(page: Page, name: str) -> None:
    """Keep pictures at a desk's and a phone's width, where a folder is named for them."""
    folder = os.environ.get("GOVERNOR_SCREENSHOTS", "")
    if not folder:
        return
    for kind, width, height in (("desk", 1440, 900), ("phone", 390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.screenshot(path=Path(folder, f"{name}-{kind}.png"))


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """A headless browser with an empty profile."""
    program = find_browser()
    if not program:
        pytest.skip("no Chromium: apt-get install chromium, or name one in GOVERNOR_BROWSER")
    expect.set_options(timeout=PATIENCE_MS)
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=program, headless=True, args=list(FLAGS)
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context
        context.close()


@pytest.fixture(scope="module")
def world(sample: str) -> Iterator[World]:
    """A Governor in front of the sample API, with a token and an agent of its own envelope."""
    planner = {"header": "x-governor-flow", "value": "planner-1"}
    with Governor(
        {"tools": sample},
        admin={"address": "127.0.0.1:0", "token": TOKEN},
        agents=[{"name": "planner", "match": planner, "in_flight": 2, "rate": "50/s"}],
    ) as governor:
        yield World(governor, sample)


@pytest.fixture
def storm(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """``governor storm``: forty impatient agents, until the test has seen what it waits for."""
    call = ["--agents", "40", "--client", "openai", "--think", "300ms", "--timeout", "1s"]
    child = subprocess.Popen(
        [*(sys.executable, "-m", "governor", "storm"), "--target", world.url, *call]
        + ["--seconds", "100"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield child
    child.terminate()
    child.wait(20)
    world.heal()
    world.switch("mode", "govern")


@pytest.fixture
def opened(browser: BrowserContext, world: World) -> Iterator[Open]:
    """Opens pages, and requires at the end that none complained or asked elsewhere."""
    pages: list[Page] = []
    faults: list[str] = []

    own = (world.control_url, "data:")

    def listen(said: ConsoleMessage, allowed: str) -> None:
        if said.type == "error" and not (allowed and said.text.startswith(allowed)):
            faults.append(said.text)

    def open_page(path: str, width: int = 1440, height: int = 900, allows: str = "") -> Page:
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: listen(said, allows))
        page.on("request", lambda asked: asked.url.startswith(own) or faults.append(asked.url))
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(world.control_url + path)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert faults == []
