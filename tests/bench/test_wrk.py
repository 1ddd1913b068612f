"""Reading wrk's result."""

from __future__ import annotations

import pytest

from bench import wrk
from bench.children import BenchError

LINE = (
    '{"requests":2000,"duration_us":2000000,"bytes":4000,"connect":0,"read":1,"write":0,"status":2,'
    '"timeout":0,"p50_us":10,"p90_us":11,"p99_us":12,"max_us":13,"mean_us":10.5}'
)


def test_numbers_per_second_and_errors() -> None:
    """Counts become rates; errors of every kind are added."""
    load = wrk.parse(f"Running 2s test\n\n{LINE}\n")
    assert load.requests_hz == 1000.0
    assert load.bytes_hz == 2000.0
    assert load.p99_us == 12
    assert load.n_errors == 3


def test_no_result_is_an_error() -> None:
    """The tool's own words are in the message."""
    with pytest.raises(BenchError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1")
