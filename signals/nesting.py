"""Own time: how long a service kept a call itself, without the calls it made meanwhile.

*Rule of this file*: which open call made which, and how much of a call its
children cover. What own times mean is :mod:`signals.propagation`'s.

*Theory*: a service that waits for another looks slow and is not. Its own time

    own = duration - |union of the intervals of the calls that it made|

is what it adds itself. The union needs no intervals: it is the time during
which at least one child was open, so a call keeps a count of open children,
the instant that count left zero, and the time covered before.

Who made a call is known where its caller is itself an upstream
(:func:`note_caller`). Else it follows from nesting: **the newest call of the
same tree that is still open, made by another flow, at another upstream**. By
another flow, because calls of one caller side by side are siblings; at another
upstream, because a service that calls itself cannot be told from a second call
to it. Unknown flows and trees have no parents: their own time is all of it.

*Regime*: of 203,052 recorded calls between services of a web shop the rule
finds the right parent of every one, of 51,422 of a booking system 99.1 %; there
0.66 % begin after their parent's end and have none open to be found. A child
that outlives its parent covers it to the end; a call is bound to its parent by
serial number, so places may be used again. Any duration is safe.
*Cost*: O(1) an event, O(16) to look for a parent; 64 bytes an open call, 12 a tree.
*Source*: the project's detection study, section 7. Ours: rule and bookkeeping.
*Considered and rejected*: the newest open call whoever made it (siblings become
children; 99.05 %); to learn which flow belongs to which upstream (97.5 %).
"""

from __future__ import annotations

import numpy as np

from signals.kernel import part
from signals.pages import make_table
from signals.state import Records

LOOK_BACK = 16
"""Open calls of one tree looked at for a parent. Recorded trees have at most 5 open."""

NEST_DTYPE = np.dtype(
    [
        ("serial", np.int64),  # odd while the call is open
        ("parent_serial", np.int64),
        ("covered_ns", np.int64),
        ("since_ns", np.int64),  # since when at least one child is open
        ("parent", np.int32),
        ("newer", np.int32),  # neighbours among the tree's open calls
        ("older", np.int32),
        ("tree", np.int32),
        ("n_open", np.int32),
        ("n_children", np.int32),
        ("is_counted", np.int32),
    ],
    align=True,
)
"""One open call, at the same place as in the table of calls."""

ROOT_DTYPE = np.dtype([("newest", np.int32), ("flow", np.int32), ("tenant", np.int32)], align=True)
"""One tree: its newest open call, and whose its outermost call is."""


def make_nesting(n_calls: int) -> Records:
    """Allocate what is known of open calls; pages are touched only as calls overlap."""
    return make_table(n_calls, NEST_DTYPE)


def make_roots(n_trees: int) -> Records:
    """Allocate what is known of trees."""
    return make_table(n_trees, ROOT_DTYPE)


@part
def adopt(nesting: Records, t_ns: int, parent: int, idx: int) -> None:
    """Make one open call the child of another from now on."""
    n = nesting[idx]
    p = nesting[parent]
    n["parent"] = parent
    n["parent_serial"] = p["serial"]
    if p["n_open"] == 0:
        p["since_ns"] = t_ns
    p["n_open"] += 1
    p["n_children"] += 1


@part
def release(nesting: Records, t_ns: int, idx: int) -> bool:
    """Take a call from its parent; tell whether it had one that is still open."""
    n = nesting[idx]
    parent = n["parent"]
    n["parent"] = 0
    if parent == 0 or nesting[parent]["serial"] != n["parent_serial"]:
        return False
    p = nesting[parent]
    p["n_open"] -= 1
    if p["n_open"] == 0:
        p["covered_ns"] += t_ns - p["since_ns"]
    return True


@part
def find_parent(nesting: Records, calls: Records, first: int, flow: int, upstream: int) -> int:
    """Return the newest open call, from ``first`` back, that can be the parent; 0 if none."""
    idx = first
    for _ in range(LOOK_BACK):
        if idx == 0:
            return 0
        other = calls[idx]["flow"]
        if other > 0 and other != flow and calls[idx]["upstream"] != upstream:
            return int(idx)
        idx = nesting[idx]["older"]
    return 0


@part
def begin_nested(nesting: Records, roots: Records, calls: Records, t_ns: int, idx: int) -> None:
    """Put a call that has just begun in its tree, below its parent if it has one."""
    n = nesting[idx]
    c = calls[idx]
    n["serial"] += 1
    n["covered_ns"] = 0
    n["n_open"] = 0
    n["n_children"] = 0
    n["parent"] = 0
    n["newer"] = 0
    n["older"] = 0
    n["tree"] = 0
    n["is_counted"] = 0
    tree = c["tree"]
    if not 0 < tree < len(roots):
        return
    r = roots[tree]
    newest = r["newest"]
    n["tree"] = tree
    n["older"] = newest
    r["newest"] = idx
    if newest == 0:
        r["flow"] = c["flow"]
        r["tenant"] = c["tenant"]
        return
    nesting[newest]["newer"] = idx
    if c["flow"] > 0:
        parent = find_parent(nesting, calls, newest, c["flow"], c["upstream"])
        if parent > 0:
            adopt(nesting, t_ns, parent, idx)


@part
def note_caller(nesting: Records, calls: Records, t_ns: int, idx: int, upstream: int) -> None:
    """Take note that an upstream made this call; the newest of its open calls is the parent."""
    n = nesting[idx]
    parent = n["parent"]
    if parent > 0 and calls[parent]["upstream"] == upstream:
        return
    if release(nesting, t_ns, idx):
        nesting[parent]["n_children"] -= 1
    other = n["older"]
    for _ in range(LOOK_BACK):
        if other == 0:
            return
        if calls[other]["upstream"] == upstream:
            adopt(nesting, t_ns, other, idx)
            return
        other = nesting[other]["older"]


@part
def compute_own_ns(nesting: Records, t_ns: int, idx: int, arrived_ns: int) -> int:
    """Return the own time of an open call up to now."""
    n = nesting[idx]
    covered_ns = n["covered_ns"]
    if n["n_open"] > 0:
        covered_ns += t_ns - n["since_ns"]
    return int(max(0, t_ns - arrived_ns - covered_ns))


@part
def end_nested(nesting: Records, roots: Records, t_ns: int, idx: int) -> None:
    """Take a call that has ended out of its tree and from its parent."""
    n = nesting[idx]
    release(nesting, t_ns, idx)
    tree = n["tree"]
    if tree > 0:
        newer = n["newer"]
        older = n["older"]
        if newer > 0:
            nesting[newer]["older"] = older
        else:
            roots[tree]["newest"] = older
        if older > 0:
            nesting[older]["newer"] = newer
    n["serial"] += 1
