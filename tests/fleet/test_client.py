"""The talk with a real server: asked for a password, restarted, halted, full."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from bench.children import free_port
from bench.fleet.redis_server import RedisServer
from bench.fleet.simulation import make_crew
from governor.config.fleet import Fleet as FleetConfig
from governor.fleet.fleet import keys_of

redis = pytest.importorskip("redis")

StartRedis = Callable[..., RedisServer]


def talk(url: str, work: Callable[[Any], Any], **config: Any) -> Any:
    """Run ``work`` with the talk of one governor."""
    from governor.fleet.client import Talker, make_client

    async def run() -> Any:
        told = FleetConfig(url=url, **config)
        client = make_client(told)
        (member,) = make_crew(1, 8, 1, is_shared=True).members
        keys = keys_of("test", "only", ["http://x"])
        try:
            return await work(Talker(client, member, keys, b"me", told))
        finally:
            await client.aclose()

    return asyncio.run(run())


def test_a_server_that_forgot_script_and_rows_is_told_both_again(redis_url: str) -> None:
    """After FLUSHALL and SCRIPT FLUSH the next exchange is whole, in a new epoch."""

    async def work(talker: Any) -> None:
        assert await talker.exchange()
        epoch = talker.member.epoch
        await talker._client.flushall()
        await talker._client.script_flush()
        assert await talker.exchange()
        assert talker.member.epoch > epoch
        assert talker.counts.n_failed == 0

    talk(redis_url, work)


def test_a_password_is_needed_and_given(start_redis: StartRedis) -> None:
    """A wrong one is a failed exchange that does not show it; the right one is an exchange."""
    server = start_redis("--requirepass", "right-word")

    async def work(talker: Any) -> tuple[bool, str]:
        return await talker.exchange(), talker.counts.last_error

    is_done, error = talk(server.url, work, password="wrong-word")
    assert not is_done
    assert error == "AuthenticationError"
    assert talk(server.url, work, password="right-word") == (True, "")


def test_a_halted_server_costs_an_exchange_its_time_out_only(start_redis: StartRedis) -> None:
    """A server that accepts and never answers is given up within the bounds, and found again."""
    server = start_redis()
    assert server.process is not None
    pid = server.process.pid

    async def work(talker: Any) -> None:
        assert await talker.exchange()
        os.kill(pid, signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            assert not await talker.exchange()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert time.monotonic() - began_s < 3.0
        assert talker.counts.last_error == "TimeoutError"
        for _ in range(20):
            if await talker.exchange():
                break
            await asyncio.sleep(0.05)
        assert talker.member.is_fresh

    talk(server.url, work)


def test_a_full_server_is_a_failed_exchange(start_redis: StartRedis) -> None:
    """Out of memory, the script's writes are refused: alone, and no fault of ours."""
    server = start_redis("--maxmemory", "1", "--maxmemory-policy", "noeviction")

    async def work(talker: Any) -> None:
        assert not await talker.exchange()
        assert talker.counts.last_error == "OutOfMemoryError"
        assert talker.counts.n_faults == 0

    talk(server.url, work)


def test_who_leaves_is_gone_at_once(redis_url: str) -> None:
    """A governor that drains takes its row out, so the others need not wait for it to lapse."""

    async def work(talker: Any) -> None:
        keys = keys_of("test", "only", ["http://x"])
        assert await talker.exchange()
        await talker.leave()
        assert await talker._client.exists(*keys) == 0

    talk(redis_url, work)


def test_a_fault_of_ours_is_counted_and_survived(redis_url: str) -> None:
    """A bug in taking a reply is a failed exchange: the talk goes on."""

    async def work(talker: Any) -> None:
        take, talker.member.take = talker.member.take, lambda *_: 1 // 0
        assert not await talker.exchange()
        assert talker.counts.n_faults == 1
        talker.member.take = take
        assert await talker.exchange()

    talk(redis_url, work)


def test_a_cluster_is_asked_where_the_keys_are(
    start_redis: StartRedis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The script's keys lie in one slot of a cluster, so it runs there like anywhere."""
    folder = tmp_path_factory.mktemp("cluster")
    bus = ("--cluster-port", str(free_port()))
    server = start_redis("--cluster-enabled", "yes", "--dir", str(folder), *bus)
    node = redis.Redis.from_url(server.url)
    node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
    while node.cluster("info")["cluster_state"] != "ok":
        time.sleep(0.01)

    async def work(talker: Any) -> None:
        assert await talker.exchange(), talker.counts.last_error
        assert await talker.exchange()
        assert talker.member.is_fresh

    talk(server.url, work, cluster=True)


def test_tls_is_verified(start_redis: StartRedis, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With its authority given a server is trusted; without, no byte of ours reaches it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + [
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ]
        + ["-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=20,
    )
    files = ("--tls-cert-file", certificate, "--tls-key-file", key)
    server = start_redis(
        *files, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no", tls=True
    )
    url = f"rediss://localhost:{server.port}/0"

    async def work(talker: Any) -> tuple[bool, str]:
        return await talker.exchange(), talker.counts.last_error

    is_done, error = talk(url, work, connect_timeout="5s", timeout="5s")
    assert not is_done
    assert error == "ConnectionError"
    trusting = {"ca_file": certificate, "connect_timeout": "5s", "timeout": "5s"}
    assert talk(url, work, **trusting) == (True, "")
