"""The raw origin as a process of its own, to be killed in the middle of its work."""

from __future__ import annotations

import subprocess
import sys
from typing import Self

from tests.support.governed import ROOT


class KillableOrigin:
    """`python -m tests.support.origin PORT`, ready when made; `kill` is SIGKILL."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.origin", str(port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        assert self.url.startswith("http://"), self.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process at once, as the kernel does when memory runs out."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
