"""The calendar queue against a heap: the same order, whatever is put, taken and taken out."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.simulate.state import NODE
from tests.bench.simulate.plain import uncompiled

calendar = uncompiled("calendar")

N_NODES = 24
ACTS = st.lists(
    st.tuples(
        st.sampled_from(("put", "put", "put", "take", "remove")),
        st.integers(0, N_NODES - 1),
        st.one_of(st.integers(0, 40), st.integers(0, 5_000), st.integers(0, 10**12)),
    ),
    max_size=120,
)


class Twin:
    """A heap of (instant, order, node) with dead entries: slow, and obviously right."""

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, int]] = []
        self.alive: dict[int, int] = {}
        self.n_put = 0

    def put(self, node: int, at_ns: int) -> None:
        """Put a node in."""
        self.n_put += 1
        self.alive[node] = self.n_put
        heappush(self.heap, (at_ns, self.n_put, node))

    def take(self) -> tuple[int, int]:
        """Return what is due next and when."""
        while self.heap:
            at_ns, order, node = heappop(self.heap)
            if self.alive.get(node) == order:
                del self.alive[node]
                return node, at_ns
        return calendar.NOTHING, -1


@given(ACTS, st.integers(1, 40), st.integers(1, 4_000))
def test_the_order_is_a_heaps(acts: list[tuple[str, int, int]], n: int, span_ns: int) -> None:
    """Nodes come by instant, those of one instant as they were put; what is taken out is gone."""
    nodes: Any = np.zeros(N_NODES, dtype=NODE)
    buckets, numbers = calendar.make_calendar(n, span_ns)
    queue = (buckets, numbers, nodes)
    twin = Twin()
    now_ns = 0
    for act, node, later_ns in acts:
        if act == "put" and node not in twin.alive:
            calendar.put(*queue, node, now_ns + later_ns)
            twin.put(node, now_ns + later_ns)
        elif act == "remove" and node in twin.alive:
            calendar.take_out(*queue, node)
            del twin.alive[node]
        elif act == "take":
            expected, at_ns = twin.take()
            assert calendar.take_next(*queue) == expected
            now_ns = max(now_ns, at_ns)
        assert numbers[calendar.COUNT] == len(twin.alive)
    while twin.alive:
        expected, _ = twin.take()
        assert calendar.take_next(*queue) == expected
    assert calendar.take_next(*queue) == calendar.NOTHING


def test_width_and_buckets_follow_from_the_population() -> None:
    """About one entry a bucket, and a year about as long as timers are."""
    buckets, numbers = calendar.make_calendar(1_000_000, 6_000_000_000)
    assert 1_000_000 <= len(buckets) < 4_000_000
    year_ns = len(buckets) << int(numbers[calendar.SHIFT])
    assert 3_000_000_000 <= year_ns <= 6_000_000_000
