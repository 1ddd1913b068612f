"""The state page: complete, plain, and free of what callers sent."""

from __future__ import annotations

import json

import orjson

from governor.control.state import describe_runtime
from tests.control.stub import MS, StubRuntime


def test_state_shows_signals_limits_line_and_ledger() -> None:
    """Every signal's reading and every policy's present act are on the page."""
    runtime = StubRuntime()
    runtime.intervene(5)
    runtime.lag.observe(0.002)
    page = json.loads(orjson.dumps(describe_runtime(runtime, 10**9)))
    assert page["status"] == "ready"
    assert page["uptime_s"] == 1.0
    assert page["event_loop_lag_s"]["recent_worst"] == 0.002
    tools = page["upstreams"]["tools"]
    assert tools["endpoints"][0]["url"].startswith("http://127.0.0.1:9")
    assert tools["endpoints"][0]["why"]["kind"] == "fixed"
    assert tools["endpoints"][0]["state"] == "healthy"
    assert tools["endpoints"][0]["share"] == 1.0
    assert tools["ledger"]["answered"] == {"line_full": 5}
    assert tools["ledger"]["upstream_s"]["orphaned"] == 0.02
    assert tools["slots"]["made"] == 5
    assert tools["signals"]["retry_share"]["unit"] == "ratio"
    assert set(page["identities"]) == {"tenant", "flow", "tree"}
    assert page["proxy"]["n_requests"] == 0
    assert page["flow_rows"].keys() == {"used", "capacity", "reclaimed", "overflowed"}
    assert page["flow_rows"]["used"] == 7


def test_state_shows_the_own_time_of_every_service() -> None:
    """A row by name, in seconds and in words; without upstreams there is none."""
    runtime = StubRuntime()
    assert describe_runtime(runtime, 10**9)["services"] == []
    runtime.intervene(5)
    runtime.gates["tools"].tick(1_100 * MS)
    (row,) = json.loads(orjson.dumps(describe_runtime(runtime, 10**9)))["services"]
    assert row["upstream"] == "tools"
    assert row["calls_a_minute"] == 2
    assert 0.018 < row["own_p50_s"] <= row["own_p90_s"] < 0.045
    assert row["past_p90_s"] == row["z90"] == 0
    assert row["in_words"].endswith("what is usual is not known yet.")
    runtime.gates.clear()
    assert describe_runtime(runtime, 10**9)["services"] == []
