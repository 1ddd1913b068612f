"""Before the first fork: sockets that share a port, and what each worker may take."""

from __future__ import annotations

import socket

import pytest

from governor.config.model import Config
from governor.errors import ConfigError
from governor.processes.supervisor import bind, describe_end
from governor.processes.worker import share_of
from governor.resolved import count_workers


def make(listen: str, **more: object) -> Config:
    """Return a configuration of one upstream."""
    whole = {
        "listeners": [{"address": listen, "max_connections": 9}],
        "upstreams": {"up": {"endpoints": ["http://127.0.0.1:9"], "max_connections": 5}},
        **more,
    }
    return Config.model_validate(whole)


def test_every_worker_listens_on_the_port_that_was_free() -> None:
    """Port 0 is replaced once, for all; the kernel takes connections before anybody accepts."""
    sockets = bind(make("127.0.0.1:0"), 3)
    try:
        ports = {found.getsockname()[1] for worker in sockets for found in worker[0]}
        assert len(ports) == 1
        with socket.create_connection(("127.0.0.1", ports.pop()), 5):
            pass
    finally:
        for worker in sockets:
            worker[0][0].close()


def test_a_port_that_is_taken_is_said_by_its_field() -> None:
    """And nothing stays open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=r"listeners\[0\]\.address"):
            bind(make(address), 2)


def test_what_is_bounded_for_all_is_shared_out() -> None:
    """Rounded up: together a little more, never less."""
    config = share_of(make("127.0.0.1:0"), 2)
    assert config.listeners[0].max_connections == 5
    assert config.upstreams["up"].max_connections == 3


def test_how_many() -> None:
    """One unless it is said; auto is at least one."""
    assert count_workers(make("127.0.0.1:0")) == 1
    assert count_workers(make("127.0.0.1:0", workers=3)) == 3
    assert count_workers(make("127.0.0.1:0", workers="auto")) >= 1


def test_how_a_process_ended_in_words() -> None:
    """By a signal, or by itself."""
    assert describe_end(9) == "SIGKILL"
    assert describe_end(2 << 8) == "exit code 2"
