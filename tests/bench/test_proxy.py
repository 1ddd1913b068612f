"""The proxy benchmark's tables."""

from __future__ import annotations

from bench.peers import select
from bench.proxy import SSE, Samples, arguments, estimate_s, markdown


def load(rate_hz: float, p50_us: float) -> dict[str, float]:
    """Return one measurement."""
    return {
        "requests_hz": rate_hz,
        "bytes_hz": 0.0,
        "p50_us": p50_us,
        "p99_us": 3 * p50_us,
        "mean_us": p50_us,
        "n_errors": 0,
        "cpu_share": 0.5,
    }


def test_medians_and_what_is_added() -> None:
    """Tables show the median round, and latency over direct."""
    peers = select("direct")
    samples: Samples = {
        ("small", "direct"): [load(rate, 10) for rate in (100, 900, 200)],
        ("latency", "direct"): [load(100, 10)],
        (SSE, "direct"): [
            {
                "events_expected": 100,
                "events": 99,
                "stalls": 2,
                "stalled_streams": 1,
                "lost_streams": 0,
                "delay_p50_us": 100,
                "delay_p99_us": 200,
                "delay_max_us": 300,
                "cpu_share": 0.1,
            }
        ],
    }
    text = markdown(samples, peers, arguments([]))
    assert "| direct | 200 | 100 – 900 |" in text
    assert "| direct | 10 | +0 | 30 | +0 | 10 | +0 |" in text
    assert "| direct | 99.0% | 2 | 1 | 0 | 0.10 | 0.20 | 0.30 | - |" in text


def test_the_default_run_is_bounded() -> None:
    """Six peers take about six minutes at most."""
    assert estimate_s(6, arguments([])) <= 360
