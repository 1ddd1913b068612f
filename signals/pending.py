"""Failures handed to callers that have not come back yet, and invitations not yet taken up.

*Rule of this file*: who is out, since when, or until when. What it adds up to
is :mod:`signals.forecast`'s; how long such callers stay away :mod:`signals.backoff`'s.

*Theory*: a failure is a caller on its way back. It is kept by the client's
law, the attempt that failed and the 50 ms bin it fell in, as a count; the flow
table remembers the same, so that a return is taken out of the right count.
As bins grow older, the law learns what they outlived. A failure that a fresh call
answers is over too: its client has given up.

A caller that was told when to come back, by Governor or by the upstream, and whose
client obeys, is kept by that instant instead: its law does not matter.
Callers without identity cannot be seen to return: they are counted, never
taken out, and teach nothing.

*Regime*: back-offs to 12.8 s, invitations to 60 s. A failure that was displaced
from the flow table (a fifth shape of one flow) stays out until it is too old.
*Cost*: O(1) an event; at the end of a bin 60 comparisons for each law that has failures out.
*Source*: the project's detection study, section 4; which clients obey: their own code,
see ``governor/load/laws.py``.
"""

from __future__ import annotations

import numpy as np

from signals.backoff import (
    ANONYMOUS,
    BIN_NS,
    N_AGES,
    N_LAGS,
    N_LAWS,
    OUTLIVED_AT,
    Record,
    count_given_up,
    count_outlived,
    count_return,
)
from signals.families import (
    BOTO,
    GOOGLE,
    MCP,
    N_ATTEMPTS,
    OPENCODE,
    TENACITY,
)
from signals.kernel import part

N_DUE = 2_048
"""Bins of invitations kept: a power of two above 60 s."""

DUE_MAX = 1_200
"""60 s in bins: no invitation lies further ahead."""

OBEYS = np.ones(N_LAWS, np.int64)
"""Families that come back when told; botocore, Google's, tenacity and MCP clients do not
read ``Retry-After``, opencode asks for it on a path that is never taken."""
OBEYS[[BOTO, GOOGLE, MCP, TENACITY, OPENCODE]] = 0

PENDING_DTYPE = np.dtype(
    [
        ("out", np.int32, (N_LAWS, N_ATTEMPTS, N_AGES)),
        ("n_out_by", np.int64, (N_LAWS, N_ATTEMPTS)),
        ("n_out", np.int64),
        ("due", np.int32, (N_ATTEMPTS, N_DUE)),
        ("n_due", np.int64),
    ],
    align=True,
)
"""Of one upstream; 130 KB, untouched where nothing fails. All zero is the right start."""


@part
def get_law(family: int, is_known: bool) -> int:
    """Return the law of a family's callers."""
    return family if is_known and 0 <= family < ANONYMOUS else ANONYMOUS


@part
def is_granted(family: int, failed_ns: int, due_ns: int) -> bool:
    """Tell whether a caller will come at the instant it was told, so far as this is kept."""
    known = 0 <= family < ANONYMOUS and OBEYS[family] == 1
    ahead = due_ns // BIN_NS - failed_ns // BIN_NS
    return bool(known and due_ns > failed_ns and ahead <= DUE_MAX)


@part
def add_pending(
    p: Record,
    t_ns: int,
    attempt: int,
    family: int,
    is_known: bool,
    due_ns: int,
) -> bool:
    """Keep one failure until its caller is back; return whether it has an invitation."""
    q = min(attempt, N_ATTEMPTS - 1)
    if is_granted(family, t_ns, due_ns):
        p["due"][q, due_ns // BIN_NS % N_DUE] += 1
        p["n_due"] += 1
        return True
    law = get_law(family, is_known)
    p["out"][law, q, t_ns // BIN_NS % N_AGES] += 1
    p["n_out_by"][law, q] += 1
    p["n_out"] += 1
    return False


@part
def settle_pending(
    p: Record,
    backoff: Record,
    t_ns: int,
    failed_ns: int,
    due_ns: int,
    attempt: int,
    family: int,
    is_retry: bool,
) -> None:
    """Let a caller be back: out of its count, and its law is taught the lag.

    A fresh call tells that the client has given up: out of its count all the same,
    but no lag of a retry.
    """
    q = min(attempt, N_ATTEMPTS - 1)
    now = t_ns // BIN_NS
    if is_granted(family, failed_ns, due_ns):
        place = due_ns // BIN_NS
        if place >= now - 1 and p["due"][q, place % N_DUE] > 0:
            p["due"][q, place % N_DUE] -= 1
            p["n_due"] -= 1
        return
    law = get_law(family, True)
    place = failed_ns // BIN_NS
    # Until a bin is closed nothing in it has outlived anything.
    if is_retry:
        count_return(backoff, law, q, t_ns - failed_ns, now - 1 - place)
    else:
        count_given_up(backoff, law, q, now - 1 - place)
    if now - place < N_AGES and p["out"][law, q, place % N_AGES] > 0:
        p["out"][law, q, place % N_AGES] -= 1
        p["n_out_by"][law, q] -= 1
        p["n_out"] -= 1


@part
def close_law(p: Record, backoff: Record, law: int, q: int, bin_idx: int) -> None:
    """Teach one law what its failures have outlived and forget those too old."""
    if law != ANONYMOUS:
        for lag in range(N_LAGS):
            age = OUTLIVED_AT[lag]
            if age >= N_AGES:
                break
            n = p["out"][law, q, (bin_idx - age) % N_AGES]
            if n > 0:
                count_outlived(backoff, law, q, lag, n)
    oldest = (bin_idx + 1) % N_AGES
    n = p["out"][law, q, oldest]
    if n > 0:
        p["out"][law, q, oldest] = 0
        p["n_out_by"][law, q] -= n
        p["n_out"] -= n


@part
def close_pending(p: Record, backoff: Record, bin_idx: int) -> None:
    """End a bin: laws are taught, what is too old is forgotten, unused invitations lapse."""
    if p["n_out"] > 0:
        for law in range(N_LAWS):
            for q in range(N_ATTEMPTS):
                if p["n_out_by"][law, q] > 0:
                    close_law(p, backoff, law, q, bin_idx)
    if p["n_due"] > 0:
        for q in range(N_ATTEMPTS):
            lapsed = p["due"][q, (bin_idx - 1) % N_DUE]
            if lapsed > 0:
                p["due"][q, (bin_idx - 1) % N_DUE] = 0
                p["n_due"] -= lapsed
