"""``governor top``: every upstream and the latest decisions, live in a terminal.

*Rule of this file*: one frame to one picture, and the loop that shows them. What
the numbers mean is said by the governor that sends them.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from governor.cli.control_port import NotThere
from governor.cli.top_stream import read_events

RETRY_S = 2.0
"""Between two tries to reach a governor that went away."""
SAID_MAX = 12
"""Sentences kept on the screen."""

BAD = ("cascade", "storm_foreseen", "fan_out", "endpoint_out")
WARN = ("saturated", "in_step", "sent_away", "waiting")
WORDS = {
    "in_step": "callers in step",
    "storm_foreseen": "storm foreseen",
    "cascade": "retries feed themselves",
    "saturated": "saturated",
    "waiting": "calls wait",
    "sent_away": "calls sent away",
    "fan_out": "a tree fans out",
    "endpoint_out": "endpoint out of use",
}


class Verdict(NamedTuple):
    """An upstream's state in a word, and how to colour it."""

    word: str
    style: str


class Screen:
    """What has been heard so far, and how it looks.

    Attributes
    ----------
    trouble : str
        Why nothing new comes; empty while it does.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._hello: dict[str, Any] = {}
        self._frame: dict[str, Any] = {}
        self._said: deque[tuple[float, str]] = deque(maxlen=SAID_MAX)
        self.trouble = ""

    @property
    def has_frame(self) -> bool:
        """Whether there is anything to show."""
        return bool(self._frame)

    def take(self, name: str, page: dict[str, Any]) -> None:
        """Take in one event of the stream."""
        if name == "hello":
            self._hello = page
            self._frame = {}
            self._said.clear()
            self._hear(page["said"])
        elif name == "frame" and self._hello:
            self._frame = page
            self._hear(page["decisions"]["said"])

    def _hear(self, said: list[list[Any]]) -> None:
        for at_s, _, _, _, text in reversed(said):
            self._said.appendleft((at_s, text))

    def render(self) -> Group:
        """Return the picture."""
        parts: list[Text | Table] = [self._title()]
        if self.trouble:
            parts.append(Text(f"{self.trouble}. Trying again.", style="bold red"))
        if self._frame:
            parts += [self._table(), self._decisions()]
        elif not self.trouble:
            parts.append(Text("Waiting for the first numbers.", style="dim"))
        return Group(*parts)

    def _title(self) -> Text:
        title = Text(f"governor {self._hello.get('version', '')} at {self._url}", style="bold")
        frame = self._frame
        if frame:
            modes = frame["modes"]
            policies = ", ".join(f"{name} {value}" for name, value in modes.items())
            at = time.strftime("%H:%M:%S", time.localtime(frame["t"]))
            title.append(f"  {at}  {frame['status']}  {policies}", style="not bold")
            title.append(f"  loop late {frame['lag_s'] * 1e3:.0f} ms", style="dim")
        return title

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, expand=False)
        table.add_column("upstream", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for name in ("calls/s", "4 s on", "can/s", "limit", "in flight", "waiting"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("retries", "in step", "waste"):
            table.add_column(name, justify="right", no_wrap=True)
        columns = self._hello["columns"]
        forecasts = self._frame["forecast"]
        rows = zip(self._hello["upstreams"], self._frame["rows"], forecasts, strict=True)
        for upstream, values, forecast in rows:
            row = dict(zip(columns, values, strict=True))
            state = judge(int(row["signs"]), self._hello["signs"], row["arrivals_hz"])
            waiting = row["waiting_own"] + row["waiting_long"] + row["waiting_crowd"]
            table.add_row(
                Text(upstream),
                Text(state.word, style=state.style),
                f"{row['arrivals_hz']:.0f}",
                f"{max(forecast, default=0):.0f}",
                f"{row['capacity_hz']:.0f}" if row["capacity_hz"] else "?",
                f"{row['limit']:.0f}",
                f"{row['in_flight']:.0f}",
                f"{waiting:.0f}",
                f"{row['retry_share']:.0%}",
                f"{row['synchrony_nats']:.0f}",
                f"{row['waste_recent']:.0%}",
            )
        return table

    def _decisions(self) -> Text:
        lines = Text("\n")
        if not self._said:
            lines.append("Nothing was decided: every call went straight through.", style="dim")
        for at_s, text in self._said:
            at = time.strftime("%H:%M:%S", time.localtime(at_s))
            lines.append(f"{at}  ", style="dim").append(f"{text}\n")
        return lines


def judge(signs: int, names: list[str], arrivals_hz: float) -> Verdict:
    """Return an upstream's state: the gravest of its signs.

    Examples
    --------
    >>> judge(0b101, ["in_step", "saturated", "cascade"], 3.0).word
    'retries feed themselves'
    """
    on = {name for bit, name in enumerate(names) if signs >> bit & 1}
    for ranked, style in ((BAD, "bold red"), (WARN, "yellow")):
        for name in ranked:
            if name in on:
                return Verdict(WORDS[name], style)
    return Verdict("calm", "green") if arrivals_hz > 0 else Verdict("no calls", "dim")


def show_once(url: str) -> int:
    """Print one frame; return the exit code.

    Raises
    ------
    NotThere
    """
    screen = Screen(url)
    for event in read_events(url):
        screen.take(event.name, event.page)
        if screen.has_frame:
            break
    else:
        raise NotThere(f"{url} closed before it said anything")
    # into a pipe no line is cut, whatever the width of a terminal that is not there
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(screen.render())
    return 0


def show_live(url: str) -> int:
    """Show frames until interrupted.

    Raises
    ------
    NotThere
        If nothing was ever seen there; later it is waited for.
    """
    screen = Screen(url)
    with Live(screen.render(), screen=True, auto_refresh=False) as live:
        while True:
            try:
                for event in read_events(url):
                    screen.trouble = ""
                    screen.take(event.name, event.page)
                    live.update(screen.render(), refresh=True)
                screen.trouble = "The stream ended"
            except NotThere as error:
                if not screen.has_frame:
                    raise
                screen.trouble = error.message.splitlines()[0]
            live.update(screen.render(), refresh=True)
            time.sleep(RETRY_S)
