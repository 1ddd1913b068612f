"""The command line: ``governor run``, ``top``, ``storm``, ``check`` and what else its help lists.

*Rule of this file*: names and flags of the commands. Each command imports what
it needs when it is called, so that none pays for another's start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from governor.cli.storm_command import storm
from governor.config.model import DEFAULT_ADMIN
from governor.errors import ConfigError, GovernorError

app = typer.Typer(
    name="governor",
    help="A reverse proxy that keeps fleets of AI agents from wasting the services they call.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Upstream = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The service to govern, as in http://127.0.0.1:9000."),
]
Listen = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where callers connect. (default: 127.0.0.1:8080)"),
]
AdminAddress = Annotated[
    str | None,
    typer.Option(
        "--admin",
        metavar="HOST:PORT",
        help="Control plane, or off for none. (default: 127.0.0.1:9090)",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML; see governor schema.")
]
Mode = Annotated[
    str | None,
    typer.Option(
        metavar="govern|observe",
        help="observe decides and reports the same, and changes nothing. (default: govern)",
    ),
]


WorkerCount = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Processes on the same port; auto: as many as there are cores. [default: 1]",
    ),
]


def _show_version(is_asked: bool) -> None:
    if is_asked:
        version()
        raise typer.Exit


@app.callback()
def _common(
    _is_asked: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="The same as version."
        ),
    ] = False,
) -> None:
    """Take what stands before the command."""


@app.command()
def run(
    upstream: Upstream = None,
    listen: Listen = None,
    admin: AdminAddress = None,
    config: ConfigFile = None,
    mode: Mode = None,
    workers: WorkerCount = None,
) -> None:
    """Govern a service. Without --upstream or --config: an embedded sample tool API."""
    from governor.cli.run import run as run_governor

    flags = {"upstream": upstream, "listen": listen, "admin": admin, "mode": mode}
    flags["workers"] = workers
    given = {name: value for name, value in flags.items() if value is not None}
    raise typer.Exit(run_governor(config, given))


ControlPort = Annotated[
    str,
    typer.Option(
        "--admin",
        metavar="HOST:PORT|URL",
        help='Control plane of a running Governor, as it prints it after "control".',
    ),
]


@app.command()
def top(
    admin: ControlPort = DEFAULT_ADMIN,
    once: Annotated[bool, typer.Option("--once", help="Print one frame, for scripts.")] = False,
) -> None:
    """Show what every upstream does now, live. Exit code 1 where nothing listens."""
    from governor.cli.control_port import control_url
    from governor.cli.top import show_live, show_once

    show = show_once if once else show_live
    raise typer.Exit(show(control_url(admin)))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML; see governor schema.")],
) -> None:
    """Say in words what a configuration will do, or what is wrong with it (exit 1)."""
    from governor.cli.describe import describe
    from governor.config.load import load

    typer.echo("\n".join(describe(load(file), os.fspath(file))))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and CI."""
    import json

    from governor.config.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


dashboard = typer.Typer(
    help="Print dashboards and alert rules for a monitoring stack. (Governor's own: /dashboard)",
    no_args_is_help=True,
)
app.add_typer(dashboard, name="dashboard")


@dashboard.command()
def grafana() -> None:
    """Print a Grafana dashboard, to be imported as it is."""
    from governor.control.monitoring.grafana import grafana_json

    typer.echo(grafana_json())


@dashboard.command()
def alerts() -> None:
    """Print Prometheus alert rules, to be named under rule_files."""
    from governor.control.monitoring.alerts import alerts_yaml

    typer.echo(alerts_yaml(), nl=False)


@app.command()
def version() -> None:
    """Print the version."""
    import platform

    from governor import __version__
    from governor.core import IS_COMPILED

    core = "compiled" if IS_COMPILED else "interpreted"
    typer.echo(f"governor {__version__} (core {core}, Python {platform.python_version()})")


@app.command()
def sample(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the sample is served.")
    ] = "127.0.0.1:9000",
    slots: Annotated[int, typer.Option(min=1, max=10_000, help="Requests in service at once.")] = 8,
    service_time: Annotated[
        str, typer.Option(metavar="TIME", help="Mean service time of a request.")
    ] = "100ms",
) -> None:
    """Serve the sample tool API on its own: something to govern, with faults on request."""
    from governor.cli.sample import serve_sample

    raise typer.Exit(serve_sample(listen, slots, service_time))


TraceFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="A recording, or a trace in one of the formats below.",
    ),
]


TraceFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="azure|mooncake|otlp|clf|har|table",
        help="Of a trace that is no recording. (default: guessed)",
    ),
]


@app.command()
def replay(
    file: TraceFile,
    config: ConfigFile = None,
    form: TraceFormat = None,
    slots: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Calls that the modelled service works on at once. (default: the most seen)",
        ),
    ] = None,
) -> None:
    """Play a recording or a trace again: the same decisions, or those of another --config."""
    from governor.cli.replay_command import replay_file

    raise typer.Exit(replay_file(file, config, form, slots))


@app.command()
def inspect(
    file: TraceFile,
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Draw it here; needs plotly.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Draw it here; needs matplotlib.")
    ] = None,
    form: TraceFormat = None,
) -> None:
    """Say what a recording or a trace shows, and draw it."""
    from governor.cli.replay_command import inspect_file

    raise typer.Exit(inspect_file(file, html, png, form))


@app.command()
def explain(
    request_id: Annotated[
        str, typer.Argument(metavar="ID", help="As in the log, or X-Governor-Request-Id.")
    ],
    admin: ControlPort = DEFAULT_ADMIN,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="Look in a recording instead."
        ),
    ] = None,
) -> None:
    """Tell the life of one request: what was read, what was decided, how long each part took."""
    from governor.cli.control_port import control_url
    from governor.cli.explain_command import explain as explain_request

    raise typer.Exit(explain_request(request_id, control_url(admin), file))


@app.command()
def record(admin: ControlPort = DEFAULT_ADMIN) -> None:
    """Have a running Governor write its recording now."""
    from governor.cli.control_port import control_url
    from governor.cli.explain_command import record_now

    raise typer.Exit(record_now(control_url(admin)))


app.command()(storm)


def main() -> None:
    """Run the command line; the entry point ``governor``."""
    try:
        app()
    except ConfigError as exc:
        _fail(exc)
    except GovernorError as exc:
        print(exc.message, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # as in `governor schema | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _fail(error: ConfigError) -> None:
    """Show every problem of a configuration and exit."""
    n_problems = len(error.problems)
    for problem in error.problems:
        print(problem, file=sys.stderr)
    if n_problems > 1:
        print(f"{n_problems} problems; nothing was started", file=sys.stderr)
    sys.exit(1)
