"""``exchange.lua`` on a real server against its slow twin."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.fleet.board import Board
from governor.fleet.member import WHOLE_ROW, Call
from governor.fleet.row import pack_changes

redis = pytest.importorskip("redis")

SCRIPT_NAMES = itertools.count()
LONG_MS = 60_000


def script() -> str:
    """Return the script's text."""
    from governor.fleet.client import SCRIPT

    return SCRIPT


class Real:
    """The script on a server, with keys of its own."""

    def __init__(self, url: str) -> None:
        self.server = redis.Redis.from_url(url)
        tag = f"{{test:{next(SCRIPT_NAMES)}}}"
        self.keys = (f"{tag}:rows", f"{tag}:lapses")
        self.run = self.server.register_script(script())

    def exchange(self, who: str, call: Call) -> list[Any]:
        """Exchange once."""
        seq, base, changes, life_ms, score, word = call
        return list(self.run(self.keys, [who, seq, base, changes, life_ms, score, word]))


def whole(
    seq: int, values: list[int], score: int = 0, word: bytes = b"", life: int = LONG_MS
) -> Call:
    """Return a call that tells a whole row."""
    return Call(seq, WHOLE_ROW, pack_changes([0] * len(values), values), life, score, word)


def pairs(reply: list[Any]) -> dict[int, int]:
    """Return the sum of the others' rows."""
    return dict(zip(reply[9::2], reply[10::2], strict=True))


ROW = st.lists(st.integers(-(2**40), 2**40), min_size=4, max_size=4)
STEP = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(["whole", "changed", "lost base", "leave"]),
    ROW,
    st.integers(0, 5_000),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, min_size=1, max_size=25))
def test_any_course_of_exchanges_is_summed_as_by_the_twin(
    steps: list[tuple[str, str, list[int], int]], redis_url: str
) -> None:
    """Rows told whole, by changes, on a lost base, and taken out: every reply is the twin's."""
    real, board = Real(redis_url), Board()
    told: dict[str, tuple[int, list[int]]] = {}
    epochs: dict[int, int] = {}
    for seq, (who, how, values, score) in enumerate(steps, 1):
        base, before = told.get(who, (WHOLE_ROW, [0] * 4))
        if how == "whole":
            base, before = WHOLE_ROW, [0] * 4
        elif how == "lost base":
            base = seq + 1000
        life_ms = 0 if how == "leave" else LONG_MS
        call = Call(seq, base, pack_changes(before, values), life_ms, score, b"w%d" % seq)
        got = real.exchange(who, call)
        wanted = board.exchange(10**15 + seq, who, call)
        assert got[0] == wanted[0], "taken or not"
        if how == "leave":
            told.pop(who, None)
        elif got[0]:
            told[who] = (seq, values)
        if got[0]:
            assert got[3:] == wanted[3:], "membership, ranks, leader, word and sum"
            assert epochs.setdefault(got[2], wanted[2]) == wanted[2], "one epoch for another"


def test_a_row_lapses_by_the_servers_clock(redis_url: str) -> None:
    """Who does not renew its row in time is no part of the sum, nor leads; its rank is free."""
    real = Real(redis_url)
    real.exchange("a", whole(1, [5], score=9_000, life=30))
    assert pairs(real.exchange("b", whole(1, [7]))) == {0: 5}
    time.sleep(0.06)
    reply = real.exchange("b", Call(2, 1, b"", LONG_MS, 0, b"b's"))
    assert pairs(reply) == {}
    assert reply[4] == 1
    assert reply[7:9] == [1, b"b's"], "the other one leads"
    assert real.exchange("c", whole(1, [1]))[5] == 0, "the rank of who has lapsed"


def test_a_call_that_was_done_and_not_heard_of_is_mended(redis_url: str) -> None:
    """A whole row replaces what is there, so a lost reply counts nothing twice."""
    real = Real(redis_url)
    real.exchange("a", whole(1, [5, 6]))
    real.exchange("a", whole(2, [8]))
    assert pairs(real.exchange("b", whole(1, [0]))) == {0: 8}


@pytest.mark.parametrize("lost", [0, 1])
def test_an_evicted_key_starts_both_anew(redis_url: str, lost: int) -> None:
    """A full server may drop either key: no sum outlives its rows, and a new epoch tells."""
    real = Real(redis_url)
    epoch = real.exchange("a", whole(1, [5]))[2]
    real.exchange("b", whole(1, [7]))
    real.server.delete(real.keys[lost])
    assert real.exchange("a", Call(2, 1, b"", LONG_MS, 0, b"")) == [0], "its row is asked for"
    reply = real.exchange("a", whole(3, [5]))
    assert reply[2] > epoch
    assert reply[4] == 1
    assert pairs(reply) == {}


def test_work_does_not_grow_with_governors(redis_url: str) -> None:
    """Commands within one exchange are as many among 200 governors as among 3."""
    real = Real(redis_url)

    def n_commands() -> int:
        stats = real.server.info("commandstats")
        return sum(x["calls"] for name, x in stats.items() if name != "cmdstat_info")

    def cost() -> int:
        before = n_commands()
        real.exchange("0", Call(2, WHOLE_ROW, b"", LONG_MS, 0, b""))
        return n_commands() - before

    for idx in range(3):
        real.exchange(str(idx), whole(1, [idx]))
    among_few = cost()
    for idx in range(3, 200):
        real.exchange(str(idx), whole(1, [idx]))
    assert cost() == among_few
    reply = real.exchange("0", whole(3, [0]))
    assert reply[4] == 200
    assert pairs(reply) == {0: sum(range(200))}


def test_keys_do_not_stay_for_ever(redis_url: str) -> None:
    """An upstream that nobody governs any more is forgotten within a minute."""
    real = Real(redis_url)
    real.exchange("a", whole(1, [5]))
    assert all(0 < real.server.pttl(key) <= 60_000 for key in real.keys)
