"""Whether addresses are free, in words."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from governor.cli.addresses import places, refuse_taken
from governor.config.durations import Address
from governor.config.model import Config
from governor.errors import ConfigError


@pytest.fixture
def taken() -> Iterator[Address]:
    """An address of this machine that somebody listens on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield Address("127.0.0.1", holder.getsockname()[1])


def test_free_addresses_pass_and_stay_free() -> None:
    """Asking does not take: who asked has left the port as it was, for anybody to listen on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        free = Address("127.0.0.1", holder.getsockname()[1])
    refuse_taken([("--listen", "", free), ("", "", Address("localhost", 0))])
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(free)
        server.listen()
        assert server.getsockname() == tuple(free)
        with pytest.raises(ConfigError):  # and now it is taken
            refuse_taken([("--listen", "", free)])


def test_a_taken_address_is_named_with_its_flag_and_the_way_to_find_who(taken: Address) -> None:
    """The message says which address, which flag, and how to see who holds it."""
    with pytest.raises(ConfigError) as caught:
        refuse_taken([("--admin", "admin.address", taken)])
    (problem,) = caught.value.problems
    assert problem.where == str(taken)
    assert problem.field == "admin.address"
    assert "taken by another process" in problem.message
    assert f"ss -ltnp sport = :{taken.port}" in problem.message
    assert "--admin HOST:PORT" in problem.message


def test_all_addresses_are_asked_for(taken: Address) -> None:
    """Every address that cannot be used is reported, not only the first."""
    foreign = Address("192.0.2.1", 80)  # a documentation address: no machine has it
    with pytest.raises(ConfigError) as caught:
        refuse_taken([("--listen", "", taken), ("", "listeners[1].address", foreign)])
    assert len(caught.value.problems) == 2
    assert "not an address of this machine" in caught.value.problems[1].message


def test_every_listener_and_the_control_plane_are_asked_for() -> None:
    """The first listener and the control plane have flags; further listeners have fields only."""
    config = Config.model_validate(
        {
            "upstreams": {"a": {"endpoints": ["http://a"]}},
            "listeners": [{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:2"}],
        }
    )
    assert [(flag, field) for flag, field, _ in places(config)] == [
        ("--listen", "listeners[0].address"),
        ("", "listeners[1].address"),
        ("--admin", "admin.address"),
    ]
