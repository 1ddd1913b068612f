"""A picture of the dashboard, by a headless Chromium that is driven over its own protocol.

*Rule of this file*: one page, one wait, one PNG. It needs a running Governor and
the ``websockets`` package; the picture in ``docs/dashboard.png`` is made so, while
``governor storm --target http://127.0.0.1:8080`` loads it and its service stalls::

    python -m bench.dashboard_picture docs/dashboard.png --after 20
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
START_S = 30.0


class Tab:
    """One tab of a browser: commands in, results out."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._n = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> Any:
        """Run one command of the DevTools protocol."""
        self._n += 1
        self._socket.send(json.dumps({"id": self._n, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._n:
                return answer.get("result", answer.get("error"))
            self.events.append(answer)

    def run(self, script: str) -> Any:
        """Return what a script evaluates to."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True)
        return found.get("result", {}).get("value")

    def complaints(self) -> list[str]:
        """Return what the page logged and threw."""
        names = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [json.dumps(x["params"])[:600] for x in self.events if x.get("method") in names]


def start_browser(profile: str) -> tuple[subprocess.Popen[bytes], str]:
    """Return a browser's process and the address of its first tab."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen([program, *flags], stderr=subprocess.DEVNULL)
    place = Path(profile, "DevToolsActivePort")
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if place.exists() and len(lines := place.read_text().splitlines()) == 2:
            return process, f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    process.kill()
    raise SystemExit("the browser did not start")


def take(options: argparse.Namespace) -> None:
    """Open the page, wait, write the PNG."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process, address = start_browser(profile)
        try:
            with connect(address, max_size=None) as browser:
                target = Tab(browser).call("Target.createTarget", url="about:blank")["targetId"]
            page = f"{address.rpartition('/devtools')[0]}/devtools/page/{target}"
            with connect(page, max_size=None) as socket:
                shoot(Tab(socket), options)
        finally:
            process.terminate()
            process.wait(10)


def shoot(tab: Tab, options: argparse.Namespace) -> None:
    """Drive one tab."""
    for domain in ("Page", "Runtime", "Log"):
        tab.call(f"{domain}.enable")
    scheme = {"name": "prefers-color-scheme", "value": "dark" if options.dark else "light"}
    tab.call("Emulation.setEmulatedMedia", features=[scheme])
    size = {"width": options.width, "height": options.height, "deviceScaleFactor": options.scale}
    tab.call("Emulation.setDeviceMetricsOverride", **size, mobile=options.width < 600)
    tab.call("Page.navigate", url=options.url)
    time.sleep(options.after)
    if options.script:
        print(tab.run(options.script))
        time.sleep(1.0)
    found = tab.call("Page.captureScreenshot", format="png", captureBeyondViewport=options.whole)
    options.out.write_bytes(base64.b64decode(found["data"]))
    for complaint in tab.complaints():
        print(complaint)


def main() -> None:
    """Read the flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:9090/dashboard")
    parser.add_argument("--after", type=float, default=15.0, help="seconds to watch before")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--whole", action="store_true", help="also what lies below the window")
    parser.add_argument("--script", default="", help="JavaScript to run before the picture")
    take(parser.parse_args())


if __name__ == "__main__":
    main()
