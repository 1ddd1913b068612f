"""``python -m governor.load.tied MODULE WORDS...``: a module that ends with its parent.

*Rule of this file*: for children that do not watch their standard input. The kernel
is asked to send SIGTERM when the parent ends (Linux; elsewhere the parent's own
orderly end must do).

*Considered and rejected*: ``preexec_fn`` (runs Python between fork and exec, which
may deadlock where the parent has threads, as a progress bar does).
"""

from __future__ import annotations

import contextlib
import ctypes
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Tie this process to its parent, then be the module."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    sys.argv[1:] = argv[1:]
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
