"""``governor run``: from flags to a running proxy, and what to tell the operator.

*Rule of this file*: order of the start. What is slow (the sample's process,
compiled kernels) starts as early as it can; what can fail cheaply fails first.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from governor.config.load import ENV_PREFIX, load
from governor.config.model import Config
from governor.notify import keep_notifying

if TYPE_CHECKING:
    from governor.cli.sample import SampleChild
    from governor.runtime import RuntimeInfo


def run(file: Path | None, flags: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit code.

    Raises
    ------
    ConfigError
        Before anything listens, if the configuration cannot be run.
    """
    from governor.cli.addresses import places, refuse_taken

    gc.disable()  # a tenth of the start: imports make much and leave no cycles worth finding
    if file is not None or "upstream" in flags or _environment_names_upstreams():
        config = load(file, flags=flags)
        refuse_taken(places(config))
        return _serve(config, None)
    # Everything but the sample's port is known: find mistakes before a process is started.
    refuse_taken(places(load(flags={**flags, "upstream": "http://127.0.0.1:1"})))
    from governor.cli.sample import SampleChild

    child = SampleChild()
    try:
        import governor.serving  # noqa: F401  # the slow imports, while the child starts

        return _serve(load(flags={**flags, "upstream": child.wait_until_ready()}), child)
    finally:
        child.stop()


def _environment_names_upstreams() -> bool:
    return any(name.upper().startswith(f"{ENV_PREFIX}UPSTREAMS") for name in os.environ)


def _serve(config: Config, child: SampleChild | None) -> int:
    """Hand over to the runtime, or to several processes."""
    from governor.resolved import count_workers

    n_workers = count_workers(config)
    if n_workers > 1:
        from governor.processes.supervisor import Supervisor

        return Supervisor(config, n_workers).run(_announcer(config, child))

    import uvloop

    from governor.serving import serve

    announce = _announcer(config, child)

    def on_ready(info: RuntimeInfo) -> None:
        keep_notifying(asyncio.get_running_loop())
        announce(info)

    uvloop.run(serve(config, on_ready=on_ready))
    return 0


def _announcer(config: Config, child: SampleChild | None) -> Callable[[RuntimeInfo], None]:
    def announce(info: RuntimeInfo) -> None:
        gc.enable()
        proxy, control = info.proxy_url, info.control_url
        lines = [f"proxy   {url}" for url in info.proxy_urls]
        if control is not None:
            lines.append(f"control {control}")
        if sys.stdout.isatty():
            lines += what_next(config, proxy, control, has_sample=child is not None)
        print("\n".join(lines), flush=True)

    return announce


def what_next(
    config: Config, proxy: str, control: str | None, *, has_sample: bool
) -> Iterator[str]:
    """Yield what a person at a terminal can try now."""
    yield ""
    if has_sample:
        slots = "8 slots of 100 ms"
        yield f"In front of an embedded sample tool API ({slots}). Try:"
        yield f"  curl '{proxy}/tools/search?q=storm'"
        yield f"  curl -X POST '{proxy}/fault?kind=stall&seconds=4'    # then watch /state"
    else:
        names = ", ".join(url for up in config.upstreams.values() for url in up.endpoints)
        yield f"Governs {names}. Point callers here instead:"
        yield f"  curl {proxy}/"
    if control is not None:
        yield f"  open {control}/dashboard in a browser, or: governor top --admin {control}"
    yield "Agents' SDKs take the address from the environment:"
    yield f"  export OPENAI_BASE_URL={proxy}/v1"
    yield f"  export ANTHROPIC_BASE_URL={proxy}"
    if has_sample:
        yield "Govern a service of your own:"
        yield f"  {_command()} run --upstream http://127.0.0.1:9000"
    yield "Ctrl-C drains and stops."


def _command() -> str:
    """Return what to type to call this program: its path where the shell does not find it."""
    if shutil.which("governor") or not sys.argv[0].endswith("governor"):
        return "governor"
    return os.path.relpath(sys.argv[0])
