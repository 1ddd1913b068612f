"""The flags of ``governor storm``.

*Rule of this file*: names, types and help; the command imports what it needs when
it is called. Numbers have their bounds and words their meaning in
:mod:`governor.load.words`, so that every problem is told at once.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

SECRET_FLAGS = ("--key", "--header", "--body")

LOAD, CALLS, TROUBLE, RESULT = "Load", "What is called", "Trouble", "Result"


def storm(
    target: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The service to load. (default: an embedded sample tool API)"
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A second service: the same load on each, in turns."),
    ] = None,
    governed: Annotated[
        bool, typer.Option("--governed", help="Compare the target with a Governor in front of it.")
    ] = False,
    agents: Annotated[
        int,
        typer.Option(metavar="N", help="Agents, of all shapes and clients.", rich_help_panel=LOAD),
    ] = 50,
    client: Annotated[
        str,
        typer.Option(
            metavar="NAME[,NAME...]",
            help="Whose headers and retry law: openai, anthropic, claude-code, codex, vercel, "
            "gemini-cli, boto3, litellm, tenacity, mcp, ..., or mix.",
            rich_help_panel=LOAD,
        ),
    ] = "openai",
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHAPE",
            help="steady, herd[:4s] (all at once, every 4 s), fanout[:1-20-100] (trees), ramp, "
            "stall (steady, and the service stalls), noisy (one of ten tenants wants ten times "
            "its share). Repeat for several at once. (default: steady)",
            rich_help_panel=LOAD,
        ),
    ] = None,
    open_rate: Annotated[
        float | None,
        typer.Option(
            "--open",
            metavar="RATE",
            help="Fresh tasks per second whatever becomes of the others (an open model), instead "
            "of agents that think, call and think again.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    think: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Mean time between an agent's tasks.", rich_help_panel=LOAD
        ),
    ] = "1s",
    seconds: Annotated[
        float, typer.Option(metavar="S", help="How long, each run.", rich_help_panel=LOAD)
    ] = 20.0,
    rounds: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Runs of each side. (default: 1, 2 to compare)", rich_help_panel=LOAD
        ),
    ] = None,
    at_once: Annotated[
        bool,
        typer.Option(
            "--at-once",
            help="Compare at the same time: for services that share nothing.",
            rich_help_panel=LOAD,
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Same seed, same demand.", rich_help_panel=LOAD)
    ] = 1,
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote",
            help="Load a service that is not on this machine. Only with its owner's consent.",
            rich_help_panel=LOAD,
        ),
    ] = False,
    timeout: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="The agents' patience, each call.", rich_help_panel=CALLS
        ),
    ] = "10s",
    retries: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Retries a task. (default: the client's)", rich_help_panel=CALLS
        ),
    ] = None,
    path: Annotated[
        str,
        typer.Option(metavar="PATH", help="(default: the client's API)", rich_help_panel=CALLS),
    ] = "",
    method: Annotated[
        str, typer.Option(metavar="METHOD", help="(default: POST)", rich_help_panel=CALLS)
    ] = "",
    body: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="(default: a short call of the client's API)",
            rich_help_panel=CALLS,
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME: VALUE", help="Added to every call.", rich_help_panel=CALLS),
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            envvar="GOVERNOR_STORM_KEY",
            help="API key; {agent} in it becomes the agent's number.",
            rich_help_panel=CALLS,
            show_default=False,
        ),
    ] = "",
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Ask for streams, read to their end.", rich_help_panel=CALLS),
    ] = False,
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous",
            help="Tell nothing but the key: no client, no agent, no retry marks.",
            rich_help_panel=CALLS,
        ),
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND[:VALUE][@START[+LENGTH]]",
            help="latency:200ms, stall, slow:10x, refuse[:429|:20%], reset[:20%], limit:32 (at "
            "once), limit:50/s; when, as in stall@5s+4s. A small gate before the service makes it.",
            rich_help_panel=TROUBLE,
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Exit with 1 if so: 'success<99%', 'p99>2s', 'attempts>1.2', 'goodput<50', "
            "'timeouts>0', ... With --governed of the governed side, else of each; "
            "'bare:p99>2s' names one.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Every figure.", rich_help_panel=RESULT),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Table and plots.", rich_help_panel=RESULT),
    ] = None,
) -> None:
    """Load a service as a fleet of AI agents does, and say what became of it.

    Exit code: 0 done, 1 a --fail-if was met, 2 bad input or no usable target.
    """
    from governor.cli.storm import run
    from governor.cli.storm_sample import sample_if
    from governor.load.words import Words

    with sample_if(target is None) as sample_url:
        words = Words(
            target=target if target is not None else sample_url,
            compare=compare or "",
            governed=governed,
            agents=agents,
            client=client,
            shapes=tuple(shape or ("steady",)),
            open_hz=open_rate,
            think=think,
            faults=tuple(fault or ()),
            seconds=seconds,
            rounds=rounds,
            at_once=at_once,
            timeout=timeout,
            retries=retries,
            key=key,
            method=method,
            path=path,
            body=body,
            headers=tuple(header or ()),
            stream=stream,
            anonymous=anonymous,
            seed=seed,
            fail_if=tuple(fail_if or ()),
            allow_remote=allow_remote,
        )
        code = run(words, json_file, report, masked(sys.argv[1:]))
    raise typer.Exit(code)


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
