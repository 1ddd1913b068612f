"""Public formats: calls are read, bad lines are counted and named, files are recognised."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from governor.record.readers import READERS, guess
from governor.record.readers.base import Problems, Row
from governor.record.store import RecordingError
from governor.record.trace import N_FLOWS, N_UNNAMED, Trace

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
yesterday,1,1
2023-11-16 18:15:50.9951690,396,many
2023-11-16 18:15:51.2225670,879,55
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 14]}
{"timestamp": 3000, "input_length": 1, "hash_ids": [0]}
not json
{"timestamp": 3000, "input_length": 1, "output_length": 50, "hash_ids": [0, 14]}
"""
CLF = """h.example - - [01/Aug/1995:00:00:01 -0400] "GET /a?b HTTP/1.0" 200 1839
h.example - - [32/Aug/1995:00:00:01 -0400] "GET /a HTTP/1.0" 200 1839
garbage
g.example - - [01/Aug/1995:00:00:09 -0400] "GET /a HTTP/1.0" 503 -
"""
HAR = """{"log": {"version": "1.2", "entries": [
{"startedDateTime": "2024-01-01T00:00:00.000Z", "time": 250.5, "pageref": "p1",
 "request": {"method": "GET", "url": "https://x.example/a?q"}, "response": {"status": 200}},
{"startedDateTime": "never", "time": 1, "request": {}, "response": {}},
{"startedDateTime": "2024-01-01T00:00:02+00:00", "time": 100, "pageref": "p1",
 "request": {"method": "GET", "url": "https://x.example/b"}, "response": {"status": 500}}]}}
"""
OTLP = """{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name",
"value": {"stringValue": "shop"}}]}, "scopeSpans": [{"spans": [
{"traceId": "aa", "spanId": "1", "name": "GET /a", "kind": 3,
 "startTimeUnixNano": "1000000000", "endTimeUnixNano": "1500000000"},
{"traceId": "aa", "spanId": "2", "name": "in", "kind": 2,
 "startTimeUnixNano": "1000000000", "endTimeUnixNano": "1500000000"},
{"traceId": "bb", "spanId": "3", "name": "GET /b", "kind": "SPAN_KIND_CLIENT",
 "startTimeUnixNano": "9000000000", "endTimeUnixNano": "1500000000"},
{"traceId": "bb", "spanId": "4", "name": "GET /b", "kind": 3, "status": {"code": 2},
 "startTimeUnixNano": 3000000000, "endTimeUnixNano": 3100000000}]}]}]}
"""
TABLE = """t_s,agent,session,in_size,out_size,latency_s,status
0.5,a1,s1,10,20,1.25,200
x,a1,s1,10,20,1.25,200
2.5,a1,s1,10,20,,429
"""

CASES = {
    "azure": (AZURE, 2, (44 / 50 + 0.5, 55 / 50 + 0.5), 4.542, "a:3: TIMESTAMP", "a:4: Generated"),
    "mooncake": (MOONCAKE, 2, (10.5, 1.5), 3.0, "a:2: output_length", "a:3: line"),
    "clf": (CLF, 2, (1.0, 1.0), 8.0, "a:2: time", "a:3: line"),
    "har": (HAR, 2, (0.2505, 0.1), 2.0, "a:2: startedDateTime", ""),
    "otlp": (OTLP, 2, (0.5, 0.1), 2.0, "a:1: endTimeUnixNano", ""),
    "table": (TABLE, 2, (1.25, 0.9), 2.0, "a:3: t_s", ""),
}


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_each_format_is_recognised_and_read(form: str, suffix: str, tmp_path: Path) -> None:
    """Instants and holding times come out; bad lines are named with file, line and field."""
    text, n_rows, held_s, apart_s, *bad = CASES[form]
    path = tmp_path / f"a{suffix}"
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if suffix else raw)
    assert guess(path) == form
    problems = Problems("a")
    rows = list(READERS[form](path, problems))
    assert len(rows) == n_rows
    assert [row.held_s for row in rows] == pytest.approx(held_s)
    assert rows[1].at_s - rows[0].at_s == pytest.approx(apart_s, abs=1e-3)
    named = [words for words in bad if words]
    assert problems.n_bad == len(named)
    for shown, words in zip(problems.shown, named, strict=True):
        assert shown.startswith(words)


def test_rows_become_tasks_in_order_with_the_slots_that_they_show() -> None:
    """Same names, same places; as many slots as calls were open at once; bad statuses fail."""
    rows = [
        Row(7.0, 1.0, flow="b", status=503),
        Row(5.0, 3.0, flow="a"),
        Row(5.5, 1.0, flow="a", tree="t"),
        Row(6.0, 1.0),
    ]
    demand = Trace(rows).demand()
    first_unnamed = N_FLOWS - 1
    assert [task.arrival.flow for task in demand.tasks] == [2, 2, first_unnamed, 1]
    assert [task.arrival.is_identified for task in demand.tasks] == [True, True, False, True]
    assert [task.arrival.tree for task in demand.tasks] == [3, 1, 0, 2]
    assert [task.attempts[0].is_failed for task in demand.tasks] == [False, False, False, True]
    assert demand.n_slots == [3]
    assert demand.places == (1, first_unnamed, 3)
    tasks = list(demand.tasks)
    gaps_ns = [b.at_ns - a.at_ns for a, b in pairwise(tasks)]
    assert gaps_ns == [500_000_000, 500_000_000, 1_000_000_000]
    assert [task.at_ns for task in (demand.tasks[-1], *demand.tasks[1:3])] == [
        task.at_ns for task in (tasks[3], *tasks[1:3])
    ]


def test_a_call_that_ends_when_another_begins_gives_it_its_place() -> None:
    """The most at once is two."""
    rows = [Row(0.0, 10.0), Row(5.0, 10.0), Row(10.0, 10.0)]
    assert Trace(rows).demand().n_slots == [2]


def test_a_trace_of_any_length_takes_bounded_memory() -> None:
    """Columns instead of objects, no more names than tables have places, no more calls than set."""
    n = 40_000
    rows = (Row(float(x), 1e30, flow=f"f{x}" if x % 2 else "", tree=f"t{x}") for x in range(n))
    tracemalloc.start()
    try:
        trace = Trace(rows, max_calls=n // 2)
        n_bytes, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(trace), trace.n_left_out) == (n // 2, n // 2)
    assert n_bytes < n // 2 * 200  # names included, of which each is met once
    assert most_bytes < n // 2 * 400
    named = [task.arrival.flow for task in trace if task.arrival.is_identified]
    assert max(named) < N_FLOWS - N_UNNAMED
    assert max(int(trace.held_ns.max()), int(trace.at_ns.max())) < 1 << 62


def test_a_file_without_calls_is_an_empty_demand(tmp_path: Path) -> None:
    """Nothing is guessed where nothing is."""
    path = tmp_path / "a"
    path.write_text("")
    problems = Problems("a")
    assert len(Trace(READERS[guess(path)](path, problems)).demand().tasks) == 0


def test_a_file_of_another_form_is_told(tmp_path: Path) -> None:
    """Not read as a log of bad lines."""
    path = tmp_path / "a.csv"
    path.write_text("pool,client,rate\nx,1,2\n")
    with pytest.raises(RecordingError, match="no trace of a known form"):
        guess(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_known_by_their_first_bytes(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Whatever they are called; what is before a cut is read, and the cut is told."""
    rng = Random(1)
    lines = [f"{x}.5,{rng.getrandbits(99)}" for x in range(20_000)]
    whole = pack("\n".join(["t_s,agent", *lines]).encode())
    path = tmp_path / "a.csv"
    for data, is_whole in ((whole, True), (whole[: len(whole) // 2], False)):
        path.write_bytes(data)
        problems = Problems("a")
        rows = list(READERS[guess(path)](path, problems))
        assert [row.flow for row in rows] == [line.split(",")[1] for line in lines[: len(rows)]]
        if is_whole:
            assert (len(rows), problems.n_bad) == (len(lines), 0)
        else:
            assert 0 <= len(rows) < len(lines)
            assert problems.n_bad >= 1
            assert "damaged" in "".join(problems.shown)


def test_variants_of_the_formats(tmp_path: Path) -> None:
    """Azure's second year, a byte order mark, quoted cells, spans one document a line."""
    path = tmp_path / "a"
    for text, at_s in (
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:01.25+00:00,1,2\n", 0.25),
        ("\ufeffTIMESTAMP,NumImages,GeneratedTokens\r\n2024-05-10 00:00:01.250000,1,2\r\n", 0.25),
        ('"t_s","agent"\n"0.25","a,b"\n', 0.25),
        ("\n".join(OTLP.replace("\n", " ") for _ in range(2)), 0.0),
    ):
        path.write_text(text)
        problems = Problems("a")
        rows = list(READERS[guess(path)](path, problems))
        assert rows
        assert rows[0].at_s % 1.0 == pytest.approx(at_s)
        assert len(rows) == 4 if "resourceSpans" in text else 1
