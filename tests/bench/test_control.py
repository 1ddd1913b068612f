"""Reading Prometheus' text."""

from __future__ import annotations

from bench.control import parse_metrics


def test_only_governors_own_samples_are_kept() -> None:
    """Comments, other names and histogram buckets are left out."""
    text = (
        "# HELP governor_a help\n"
        'governor_a_total{reason="x y"} 3.0\n'
        'governor_h_seconds_bucket{le="1"} 9.0\n'
        "governor_h_seconds_sum 4.5\n"
        "process_cpu_seconds_total 1.0\n"
    )
    assert parse_metrics(text) == {
        'governor_a_total{reason="x y"}': 3.0,
        "governor_h_seconds_sum": 4.5,
    }
