"""The flags of ``governor storm``.

*Rule of this file*: names, types and help; the command imports what it needs when
it is called. A flag is a field of :class:`governor.load.words.Words` by the
parameter's name; bounds and meaning are there, so that every problem is told at once.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

SECRET_FLAGS = ("--key", "--header", "--body")

LOAD, CALLS, TROUBLE, RESULT = "Load", "What is called", "Trouble", "Result"


def _flag(name: str, metavar: str | None, text: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(name, metavar=metavar, help=text, rich_help_panel=panel, **more)


def _switch(name: str, text: str, panel: str | None = None) -> Any:
    return _flag(name, None, text, panel)


Target = Annotated[
    str | None,
    _flag("--target", "URL", "The service to load. (default: an embedded sample tool API)"),
]
Compare = Annotated[
    str, _flag("--compare", "URL", "A second service: the same load on each, in turns.")
]
Governed = Annotated[
    bool, _switch("--governed", "Compare the target with a Governor in front of it.")
]
Agents = Annotated[int, _flag("--agents", "N", "Agents, of all shapes and clients.", LOAD)]
Client = Annotated[
    str,
    _flag(
        "--client",
        "NAME[,NAME...]",
        "Whose headers and retry law: openai, anthropic, claude-code, codex, vercel, gemini-cli, "
        "boto3, litellm, tenacity, mcp, ..., or mix.",
        LOAD,
    ),
]
Shapes = Annotated[
    list[str] | None,
    _flag(
        "--shape",
        "SHAPE",
        "steady, herd[:4s] (all at once, every 4 s), fanout[:1-20-100] (trees), ramp, stall "
        "(steady, and the service stalls), noisy (one of ten tenants wants ten times its share). "
        "Repeat for several at once. (default: steady)",
        LOAD,
    ),
]
OpenRate = Annotated[
    float | None,
    _flag(
        "--open",
        "RATE",
        "Fresh tasks per second whatever becomes of the others (an open model), instead of agents "
        "that think, call and think again.",
        LOAD,
    ),
]
Think = Annotated[str, _flag("--think", "TIME", "Mean time between an agent's tasks.", LOAD)]
Seconds = Annotated[float, _flag("--seconds", "S", "How long, each run.", LOAD)]
Rounds = Annotated[
    int | None, _flag("--rounds", "N", "Runs of each side. (default: 1, 2 to compare)", LOAD)
]
AtOnce = Annotated[
    bool,
    _switch("--at-once", "Compare at the same time: for services that share nothing.", LOAD),
]
Seed = Annotated[int, _flag("--seed", "N", "Same seed, same demand.", LOAD)]
AllowRemote = Annotated[
    bool,
    _switch(
        "--allow-remote",
        "Load a service that is not on this machine. Only with its owner's consent.",
        LOAD,
    ),
]
Timeout = Annotated[str, _flag("--timeout", "TIME", "The agents' patience, each call.", CALLS)]
Retries = Annotated[
    int | None, _flag("--retries", "N", "Retries a task. (default: the client's)", CALLS)
]
CallPath = Annotated[str, _flag("--path", "PATH", "(default: the client's API)", CALLS)]
Method = Annotated[str, _flag("--method", "METHOD", "(default: POST)", CALLS)]
Body = Annotated[
    str | None,
    _flag("--body", "TEXT|@FILE", "(default: a short call of the client's API)", CALLS),
]
Headers = Annotated[
    list[str] | None, _flag("--header", "NAME: VALUE", "Added to every call.", CALLS)
]
Key = Annotated[
    str,
    _flag(
        "--key",
        "KEY",
        "API key; {agent} in it becomes the agent's number.",
        CALLS,
        envvar="GOVERNOR_STORM_KEY",
        show_default=False,
    ),
]
Stream = Annotated[bool, _switch("--stream", "Ask for streams, read to their end.", CALLS)]
Anonymous = Annotated[
    bool,
    _switch("--anonymous", "Tell nothing but the key: no client, no agent, no retry marks.", CALLS),
]
Faults = Annotated[
    list[str] | None,
    _flag(
        "--fault",
        "KIND[:VALUE][@START[+LENGTH]]",
        "latency:200ms, stall, slow:10x, refuse[:429|:20%], reset[:20%], limit:32 (at once), "
        "limit:50/s; when, as in stall@5s+4s. A small gate before the service makes it.",
        TROUBLE,
    ),
]
FailIf = Annotated[
    list[str] | None,
    _flag(
        "--fail-if",
        "CONDITION",
        "Exit with 1 if so: 'success<99%', 'p99>2s', 'attempts>1.2', 'goodput<50', 'timeouts>0', "
        "... With --governed of the governed side, else of each; 'bare:p99>2s' names one.",
        RESULT,
    ),
]
JsonFile = Annotated[Path | None, _flag("--json", "FILE", "Every figure.", RESULT)]
Report = Annotated[Path | None, _flag("--report", "FILE.html", "Table and plots.", RESULT)]


def storm(
    context: typer.Context,
    target: Target = None,
    compare: Compare = "",
    governed: Governed = False,
    agents: Agents = 50,
    client: Client = "openai",
    shapes: Shapes = None,
    open_hz: OpenRate = None,
    think: Think = "1s",
    seconds: Seconds = 20.0,
    rounds: Rounds = None,
    at_once: AtOnce = False,
    seed: Seed = 1,
    allow_remote: AllowRemote = False,
    timeout: Timeout = "10s",
    retries: Retries = None,
    path: CallPath = "",
    method: Method = "",
    body: Body = None,
    headers: Headers = None,
    key: Key = "",
    stream: Stream = False,
    anonymous: Anonymous = False,
    faults: Faults = None,
    fail_if: FailIf = None,
    json_file: JsonFile = None,
    report: Report = None,
) -> None:
    """Load a service as a fleet of AI agents does, and say what became of it.

    Exit code: 0 done, 1 a --fail-if was met, 2 bad input or no usable target.
    """
    from governor.cli.storm import run
    from governor.cli.storm_sample import sample_if
    from governor.load.words import Words

    flags = {name: value for name, value in context.params.items() if name not in FILES}
    for name in ("faults", "fail_if", "headers"):
        flags[name] = tuple(flags[name] or ())
    flags["shapes"] = tuple(shapes or ("steady",))
    with sample_if(target is None) as sample_url:
        flags["target"] = target if target is not None else sample_url
        code = run(Words(**flags), json_file, report, masked(sys.argv[1:]))
    raise typer.Exit(code)


FILES = ("json_file", "report")
"""Parameters that say where results go; all others are fields of ``Words``."""


def masked(words: list[str]) -> str:
    """Return a command line without what may be secret.

    >>> masked(["storm", "--key", "abc", "--header=a: b", "--agents", "3"])
    "governor storm --key '***' --header='***' --agents 3"
    """
    shown = ["governor"]
    is_secret = False
    for word in words:
        flag, equals, _ = word.partition("=")
        if is_secret:
            shown.append("'***'")
        elif equals and flag in SECRET_FLAGS:
            shown.append(f"{flag}='***'")
        else:
            shown.append(shlex.quote(word))
        is_secret = not is_secret and not equals and word in SECRET_FLAGS
    return " ".join(shown)
