"""The quota's bucket on a made-up time axis."""

from __future__ import annotations

from bench.service.bucket import TokenBucket


def test_a_full_bucket_gives_its_depth_and_then_its_rate() -> None:
    """Five at once, then ten a second, never more saved up than fits."""
    bucket = TokenBucket(10.0, 5.0, 0.0)
    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert sum(bucket.take(0.05 * n) for n in range(1, 21)) == 10
    assert sum(bucket.take(100.0) for _ in range(20)) == 5
