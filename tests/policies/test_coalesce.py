"""What makes two requests the same, and what an answer says about sharing it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.coalesce import NEUTRAL, agree, read_sharing, share_key

TOKEN = st.sampled_from([b"accept", b"Cookie", b"authorization", b"X-A", b"x-b", b"Range"])
LINES = st.lists(st.tuples(TOKEN, st.sampled_from([b"1", b"2"])), max_size=5)


def key(*lines: bytes, method: bytes = b"GET", target: bytes = b"/x", ip: bytes = b"::1") -> object:
    """The key of a request."""
    return share_key(method, target, (ip,), lines)


def test_order_and_spelling_of_names_do_not_matter() -> None:
    """Fields of different names in another order say the same."""
    assert key(b"Host: t", b"Accept: a") == key(b"accept:a", b"HOST: t ")


def test_order_of_equal_names_matters() -> None:
    """Values of one name are a list."""
    assert key(b"A: 1", b"A: 2") != key(b"A: 2", b"A: 1")
    assert key(b"A: 1", b"A: 2") != key(b"A: 1, 2")


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_ids_of_tracing_and_retries_are_left_out(name: bytes) -> None:
    """They differ from request to request by design."""
    assert (
        key(b"Host: t", name + b": 1") == key(b"Host: t", name.upper() + b": 2") == key(b"Host: t")
    )


def test_whatever_else_differs_is_another_request() -> None:
    """Method, target, caller's address, any field, its value, its absence."""
    requests = [
        key(),
        key(method=b"HEAD"),
        key(target=b"/x?"),
        key(ip=b"::2"),
        key(b"A: 1"),
        key(b"A: 2"),
        key(b"A:"),
        key(b"B: 1"),
    ]
    assert len(set(requests)) == len(requests)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"get"])
def test_only_safe_methods_share(method: bytes) -> None:
    """Two equal POSTs are two acts."""
    assert key(method=method) is None


def test_subscriptions_are_not_shared() -> None:
    """An event stream is its subscriber's."""
    assert key(b"Accept: application/json, Text/Event-Stream") is None


@given(LINES, LINES)
def test_equal_keys_mean_equal_fields(
    one: list[tuple[bytes, bytes]], other: list[tuple[bytes, bytes]]
) -> None:
    """Two requests share only if every name has the same values in the same order."""

    def values(fields: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        for name, value in fields:
            found.setdefault(name.lower(), []).append(value)
        return found

    keys = [key(*(b"%b: %b" % field for field in fields)) for fields in (one, other)]
    assert (keys[0] == keys[1]) == (values(one) == values(other))


def test_vary_is_a_list_over_all_its_lines() -> None:
    """Names in any case, over several lines."""
    head = b"HTTP/1.1 200 OK\r\nVary: A, b\r\nX: y\r\nvary:C ,\r\n\r\n"
    assert read_sharing(head) == {b"a", b"b", b"c"}
    assert read_sharing(b"HTTP/1.1 200 OK\r\nX-Vary: *\r\n\r\n") == frozenset()


@pytest.mark.parametrize("field", [b"Vary: *", b"vary: a, *", b"Set-Cookie: a=1", b"SET-COOKIE:"])
def test_some_answers_are_for_one_caller(field: bytes) -> None:
    """Vary: * and whatever sets a cookie."""
    assert read_sharing(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % field) is None


def test_requests_agree_on_what_vary_names() -> None:
    """Values, their order and their absence count; other fields do not."""
    names = frozenset((b"traceparent",))
    one = [(b"Traceparent", b"1"), (b"A", b"1")]
    assert agree(names, one, [(b"traceparent", b"1")])
    assert not agree(names, one, [(b"traceparent", b"2")])
    assert not agree(names, one, [])
    assert agree(frozenset(), one, [])
