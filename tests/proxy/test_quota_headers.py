"""``RateLimit`` fields on Governor's own refusals: well-formed, honest, never the upstream's."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from aiohttp import ClientSession, web
from hypothesis import given
from hypothesis import strategies as st

from governor.config.model import Config
from governor.core.quotas import QuotaLeft
from governor.proxy.quota import read_quotas
from governor.proxy.quota_headers import write_quotas
from governor.runtime import Runtime

S = 1_000_000_000
POLICY = re.compile(r'"[a-z]+";q=\d+(?:;w=[1-9]\d*)?')
STATE = re.compile(r'"[a-z]+";r=\d+(?:;t=(\d+))?')

QUOTAS = st.lists(
    st.builds(
        QuotaLeft,
        st.sampled_from(["requests", "upstream", "acceleration"]),
        st.integers(1, 1 << 52),
        st.integers(0, 86_400),
        st.integers(-1, 1 << 52),
        st.floats(0.0, 86_400.0),
    ),
    max_size=4,
)


@given(QUOTAS, st.integers(-1, 60 * S))
def test_fields_are_lists_of_items_and_end_before_the_caller_returns(
    quotas: list[QuotaLeft], retry_after_ns: int
) -> None:
    """Every member is a string with integer parameters; no window ends after Retry-After."""
    told = dict(line.split(": ", 1) for line in write_quotas(quotas, retry_after_ns))
    assert bool(told) == bool(quotas)
    for member in told.get("RateLimit-Policy", "").split(", ") if told else ():
        assert POLICY.fullmatch(member)
    for member in told["RateLimit"].split(", ") if "RateLimit" in told else ():
        match = STATE.fullmatch(member)
        assert match is not None
        if match[1] is not None and retry_after_ns > 0:
            assert int(match[1]) <= -(-retry_after_ns // S)


@pytest.mark.parametrize(
    ("quota", "retry_after_ns", "state"),
    [
        (QuotaLeft("requests", 9, 0, 4, 20.0), 5 * S, '"requests";r=4'),
        (QuotaLeft("requests", 9, 0, 4, 20.0), 0, '"requests";r=4;t=20'),
        (QuotaLeft("requests", 9, 0, 0, 0.0), 5 * S, '"requests";r=0;t=5'),
        (QuotaLeft("requests", 9, 0, 4, 0.0), 5 * S, '"requests";r=4'),
    ],
)
def test_a_window_is_said_only_where_it_is_true(
    quota: QuotaLeft, retry_after_ns: int, state: str
) -> None:
    """A reset beyond the slot is left out, not shortened; nothing left lasts until the slot."""
    assert write_quotas([quota], retry_after_ns)[1] == f"RateLimit: {state}"


def test_what_is_written_can_be_read() -> None:
    """A Governor in front of this one understands it."""
    lines = write_quotas([QuotaLeft("requests", 100, 0, 7, 3.0)], 0)
    head = "\r\n".join(["HTTP/1.1 429 x", *lines, "", ""]).encode()
    (quota,) = read_quotas(head, 0.0)
    assert (quota.limit, quota.remaining, quota.reset_ns) == (100, 7, 3 * S)


@pytest.mark.parametrize("is_on", [True, False])
async def test_own_refusals_tell_and_the_upstreams_stay(is_on: bool) -> None:
    """Through a real proxy: a known quota is on Governor's 429, the upstream's keeps its own."""
    theirs = {"RateLimit": '"theirs";r=41;t=600', "RateLimit-Policy": '"theirs";q=60;w=60'}

    async def serve(request: web.Request) -> web.Response:
        await asyncio.sleep(0.2 if request.path == "/slow" else 0.0)
        return web.Response(status=429 if request.path == "/full" else 200, headers=theirs)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream: dict[str, Any] = {"limit": 1, "max_waiting": 0}
    upstream["endpoints"] = [f"http://127.0.0.1:{runner.addresses[0][1]}"]
    config = Config.model_validate(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "admin": {"address": None},
            "upstreams": {"tools": upstream},
            "policies": {"ratelimit_headers": is_on},
            "access_log": {"mode": "off"},
        }
    )
    runtime = Runtime(config)
    await runtime.start()
    try:
        async with ClientSession() as session:

            async def ask(path: str, key: str = "a") -> tuple[int, list[str], list[str]]:
                headers = {"authorization": f"Bearer {key}"}
                async with session.get(runtime.info.proxy_url + path, headers=headers) as reply:
                    fields = reply.headers
                    told = (fields.getall(name, []) for name in ("RateLimit", "RateLimit-Policy"))
                    return reply.status, *told

            assert await ask("/") == (200, *([value] for value in theirs.values()))
            assert await ask("/full") == (429, *([value] for value in theirs.values()))
            slow = asyncio.ensure_future(ask("/slow"))
            while not runtime.gates["tools"].in_flight:
                await asyncio.sleep(0)
            known = (['"upstream";r=41'], ['"upstream";q=60']) if is_on else ([], [])
            assert await ask("/") == (429, *known)
            assert await ask("/", key="b") == (429, [], [])
            assert (await slow)[0] == 200
        assert runtime.proxy.stats.n_faults == 0
    finally:
        await runtime.close()
        await runner.cleanup()
