"""Governor's runtime on a thread of this process, for tests that look inside as clients call."""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from typing import Any, Self

import uvloop

from governor.config.model import Config
from governor.runtime import Runtime
from tests.support.loops import LoopThread, wait_until


class RunningRuntime:
    """A started `Runtime` in front of one upstream; `close` drains it.

    Parameters
    ----------
    upstream_url : str
    upstream, policies : dict, optional
        Keys of those sections, as in YAML.
    """

    def __init__(
        self,
        upstream_url: str,
        upstream: dict[str, Any] | None = None,
        policies: dict[str, Any] | None = None,
        **config: Any,
    ) -> None:
        whole: dict[str, Any] = {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": None},
            "upstreams": {"only": {"endpoints": [upstream_url], **(upstream or {})}},
            "policies": policies or {},
            "access_log": {"mode": "off"},
            "drain_timeout": "1s",
            **config,
        }
        self._thread = LoopThread("governor", uvloop.new_event_loop)
        self.runtime = self._thread.run(self._start(Config.model_validate(whole)), 60)
        self.url = self.runtime.info.proxy_url
        self.gate = self.runtime.gates["only"]

    async def _start(self, config: Config) -> Runtime:
        runtime = Runtime(config)
        threshold = gc.get_threshold()
        await runtime.start()
        gc.unfreeze()  # the collector belongs to the tests here, not to Governor
        gc.set_threshold(*threshold)
        return runtime

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in its loop; return what comes of it."""
        return self._thread.run(work, 20)

    def wait_until_in_flight(self, n_in_flight: int, n_waiting: int = 0) -> None:
        """Wait until so many requests are in flight and so many stand in the line."""
        wanted = (n_in_flight, n_waiting)
        wait_until(
            lambda: (self.gate.in_flight, self.gate.line_length) == wanted,
            what=f"{n_in_flight} in flight and {n_waiting} waiting",
        )

    def close(self) -> None:
        """Drain, stop the loop, join the thread."""
        self._thread.run(self.runtime.drain(), 20)
        self._thread.close()
