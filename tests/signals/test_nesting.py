"""Own time: who made whom, and that the kernels find the union that sorting finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from signals import ANSWERED, FAILED, GONE, REFUSED, Shared, SignalBank
from signals.nesting import LOOK_BACK, compute_own_ns
from signals.propagation import NOBODY
from tests.signals.twins.propagation import Call, Nesting

MS = 1_000_000
ENDS = (ANSWERED, FAILED, REFUSED, GONE)


class Process:
    """Four upstreams of one process."""

    def __init__(self, n_calls: int = 256) -> None:
        self.shared = Shared(n_calls, 16, 64, 4)
        self.banks = [SignalBank(64, self.shared, upstream) for upstream in range(4)]

    def begin(self, t_ns: int, upstream: int, flow: int, tree: int = 1) -> int:
        """Begin a call."""
        return self.banks[upstream].observe_arrival(t_ns, 1, flow, tree, 7)

    def own_ns(self, t_ns: int, call: int) -> int:
        """Return the own time of an open call so far."""
        idx = call >> 7
        now_ns = t_ns + int(self.shared.process[0]["shift_ns"])
        arrived_ns = int(self.shared.calls[idx]["arrived_ns"])
        return int(compute_own_ns(self.shared.nesting, now_ns, idx, arrived_ns))

    def n_children(self, call: int) -> int:
        """Return how many calls an open call has made."""
        return int(self.shared.nesting[call >> 7]["n_children"])


def test_a_service_is_not_charged_for_those_it_waits_for() -> None:
    """Two children side by side cover their union, not their sum."""
    p = Process()
    root = p.begin(0, 0, 1)
    first = p.begin(10 * MS, 1, 2)
    second = p.begin(20 * MS, 2, 2)
    p.banks[1].observe_end(40 * MS, first)
    p.banks[2].observe_end(50 * MS, second)
    assert p.n_children(root) == 2
    assert p.own_ns(60 * MS, root) == 20 * MS


def test_calls_of_one_caller_side_by_side_are_siblings() -> None:
    """An agent's parallel calls do not nest, nor do calls of unknown flows or trees."""
    p = Process()
    root = p.begin(0, 0, 1)
    p.begin(MS, 1, 1)
    p.begin(MS, 1, 0)
    p.begin(MS, 1, 5, 0)
    p.begin(MS, 0, 5)
    assert p.n_children(root) == 0
    assert p.own_ns(9 * MS, root) == 9 * MS


def test_a_known_caller_outweighs_nesting() -> None:
    """The newest open call of the named upstream is the parent; one not open makes none."""
    p = Process()
    root = p.begin(0, 0, 1)
    middle = p.begin(MS, 1, 2)
    leaf = p.begin(2 * MS, 2, 3)
    assert p.n_children(middle) == 1
    p.banks[2].note_caller(2 * MS, leaf, 0)
    assert (p.n_children(root), p.n_children(middle)) == (2, 0)
    p.banks[2].note_caller(2 * MS, leaf, 3)
    assert (p.n_children(root), p.n_children(middle)) == (1, 0)


def test_a_child_that_outlives_its_parent_harms_nobody() -> None:
    """Its parent's place may be used again: the new call is not its parent."""
    p = Process(3)
    root = p.begin(0, 0, 1)
    child = p.begin(MS, 1, 2)
    p.banks[0].observe_end(5 * MS, root)
    again = p.begin(6 * MS, 0, 4)
    assert again >> 7 == root >> 7
    p.banks[1].observe_end(7 * MS, child)
    p.banks[1].observe_end(8 * MS, child)
    assert p.own_ns(9 * MS, again) == 3 * MS


def test_a_tree_of_many_open_calls_is_searched_only_so_far() -> None:
    """Beyond the newest few nobody looks for a parent."""
    p = Process()
    root = p.begin(0, 0, 1)
    for k in range(LOOK_BACK + 3):
        p.begin(k * MS, 1, 2)
    assert p.n_children(root) == LOOK_BACK
    assert p.shared.propagation[0]["named"] == NOBODY


Step = tuple[int, int, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),  # begin, begin with caller, end, leave
        st.integers(0, 3),  # upstream, or which open call
        st.integers(0, 3),  # flow
        st.integers(0, 2),  # tree
        st.integers(0, 40),  # ms later
    ),
    max_size=40,
)


def follow(steps: list[Step], shift_ns: int = 0, flows: int = 0) -> tuple[list[int], list[int]]:
    """Return the own times of calls at their ends, of kernels and of the twin."""
    p, twin = Process(), Nesting()
    open_: list[tuple[int, Call]] = []
    seen: list[int] = []
    wanted: list[int] = []
    t_ns = shift_ns
    for kind, upstream, flow, tree, later in steps:
        t_ns += later * MS
        if kind < 2:
            call = p.begin(t_ns, upstream, flow + flows if flow else 0, tree)
            slow = twin.begin(t_ns, upstream, flow, tree)
            if kind == 1:
                p.banks[upstream].note_caller(t_ns, call, flow)
                twin.note_caller(slow, flow)
            open_.append((call, slow))
        elif open_:
            call, slow = open_.pop(upstream % len(open_))
            seen.append(p.own_ns(t_ns, call))
            wanted.append(twin.own_ns(slow, t_ns))
            slow.end_ns = t_ns
            bank = p.banks[slow.upstream]
            if kind == 3:
                bank.observe_leave(t_ns, call)
            bank.observe_end(t_ns, call, ENDS[flow])
            bank.observe_end(t_ns, call, ENDS[flow])
    return seen, wanted


@settings(max_examples=12, deadline=None)
@given(steps=STEPS, shift_ns=st.integers(-(10**15), 10**15), flows=st.integers(0, 50))
def test_kernels_find_the_union_that_sorting_finds(
    steps: list[Step], shift_ns: int, flows: int
) -> None:
    """Also when time is shifted and flows have other numbers; ends told twice count once."""
    seen, wanted = follow(steps)
    assert seen == wanted
    assert min(seen, default=0) >= 0
    assert follow(steps, shift_ns, flows)[0] == seen
