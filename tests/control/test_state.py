"""The state page: complete, plain, and free of what callers sent."""

from __future__ import annotations

import json

import orjson

from governor.control.state import describe_runtime
from tests.control.stub import StubRuntime


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
    assert tools["ledger"]["answered"] == {"line_full": 5}
    assert tools["ledger"]["upstream_s"]["orphaned"] == 0.02
    assert tools["slots"]["made"] == 5
    assert tools["signals"]["retry_share"]["unit"] == "ratio"
    assert set(page["identities"]) == {"tenant", "flow", "tree"}
    assert page["proxy"]["n_requests"] == 0
    assert page["flow_rows"].keys() == {"used", "capacity", "reclaimed", "overflowed"}
    assert page["flow_rows"]["used"] == 7
