"""How many connections this process may have at once.

*Rule of this file*: the limit of open files, read and raised; nothing is opened.
"""

from __future__ import annotations

import resource

FILES_BESIDE = 64
"""File descriptors kept for everything that is not a connection."""


def allow_files(n_connections: int) -> None:
    """Raise this process's limit of open files for so many connections.

    Raises
    ------
    OSError
        If the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = n_connections + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise OSError(
            f"{n_connections:,} connections need {needed:,} open files, this process may have "
            f"{hard:,}: use fewer agents or raise `ulimit -n`"
        )
    if soft != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * needed)), hard))
