"""What several data planes have counted adds up, and goes on where a dead one stopped."""

from __future__ import annotations

from governor.control import AccessLogWriter, RequestTally
from governor.processes.counters import Counters
from governor.proxy.stats import ProxyStats
from policies.decision import Action


def make() -> Counters:
    """Return counters of one data plane that has seen nothing."""
    return Counters(ProxyStats(), RequestTally(), AccessLogWriter("off"))


def busy(n: int) -> Counters:
    """Return counters that have seen ``n`` of everything."""
    counters = make()
    stats = counters.stats
    stats.n_requests = stats.n_connections = stats.n_tunnels = n
    counters.log.n_written = n
    for _ in range(n):
        stats.overhead.observe(30_000)
        stats.count_own_answer("line_full")
        counters.tally.for_route("up", "/").count(200, Action.ADMIT, 5_000_000)
    return counters


def test_pages_add_up() -> None:
    """Counts, histograms and words of all; what is open only of those that are there."""
    one, two, whole = busy(2), busy(3), make()
    tally = whole.tally.for_route("up", "/")
    whole.show([(one.encode(), True), (two.encode(), False), (b"", True)])
    stats = whole.stats
    assert (stats.n_requests, stats.n_connections, stats.n_tunnels) == (5, 2, 2)
    assert (stats.overhead.count, stats.overhead.sum_ns) == (5, 150_000)
    assert stats.n_own_answers == {"line_full": 5}
    assert (tally.durations.count, sum(tally.counts), whole.log.n_written) == (5, 5, 5)
    whole.show([(one.encode(), True)])
    assert (whole.stats.n_requests, tally.durations.count, whole.log.n_written) == (2, 2, 2)


def test_a_successor_goes_on_counting() -> None:
    """It has none of its predecessor's connections, and all of its counts."""
    heir = make()
    heir.show([(busy(4).encode(), False)])
    heir.stats.n_requests += 1
    again = make()
    again.show([(heir.encode(), True)])
    assert (again.stats.n_requests, again.stats.n_connections) == (5, 0)
