"""``governor storm`` as a user types it, against the sample service on a socket."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import governor
from governor.cli.storm import _judge_probe
from governor.cli.storm_command import masked

ROOT = Path(governor.__file__).parent.parent
NO_JIT = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
"""A Governor that need not compile: what is tested here is the storm around it."""


def storm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``governor storm`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "governor", "storm", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=NO_JIT,
    )


def read(file: Path) -> dict[str, Any]:
    """Return a JSON result."""
    value: dict[str, Any] = json.loads(file.read_text())
    return value


def test_a_service_is_loaded_and_described(sample: str, tmp_path: Path) -> None:
    """One short command: table, JSON and a report that needs no network; exit code 0."""
    out, report = tmp_path / "out.json", tmp_path / "out.html"
    words = ("--target", sample, "--seconds", "1", "--agents", "10", "--think", "200ms")
    found = storm(*words, "--json", str(out), "--report", str(report), "--key", "top-secret")
    assert found.returncode == 0, found.stderr
    assert re.search(r"succeeded +100.00 %", found.stdout)
    result = read(out)
    side = result["sides"]["target"]
    assert side["tasks"] > 10
    assert side["succeeded"] == side["tasks"] == side["attempts"]
    assert result["plan"]["groups"][0]["n_agents"] == 10
    text = report.read_text()
    assert text.count('class="plotly-graph-div"') == 3
    assert not re.search(r"<(?:script|link)[^>]+(?:src|href)=", text)
    for shown in (out.read_text(), text, found.stdout, found.stderr):
        assert "top-secret" not in shown


def test_mcp_clients_open_sessions_at_the_sample(sample: str) -> None:
    """Each call is done: the sample answers no call that names no session it has opened."""
    found = storm("--target", sample, "--seconds", "1", "--agents", "5", "--client", "mcp")
    assert found.returncode == 0, found.stderr
    assert re.search(r"succeeded +100.00 %", found.stdout)


def test_without_a_target_the_sample_is_loaded() -> None:
    """``governor storm`` alone shows what it does."""
    found = storm("--seconds", "1", "--agents", "5")
    assert found.returncode == 0, found.stderr
    assert "tasks" in found.stdout


def test_a_missed_threshold_is_exit_code_1(sample: str) -> None:
    """What fails is said, and what was met too."""
    words = ("--target", sample, "--seconds", "1", "--agents", "5", "--think", "100ms")
    found = storm(*words, "--fail-if", "p50>1ms", "--fail-if", "success<50%")
    assert found.returncode == 1
    assert re.search(r"MISSED: fail if p50>1ms; target has 0\.\d+", found.stdout)
    assert "met: fail if success<50%" in found.stdout


def test_bad_input_is_exit_code_2_and_nothing_runs(sample: str, tmp_path: Path) -> None:
    """Every problem is told with its flag, before anything is started."""
    found = storm("--target", sample, "--agents", "0", "--fault", "boom", "--client", "nobody")
    assert found.returncode == 2
    assert [line.split(":")[0] for line in found.stderr.splitlines()] == [
        "--agents",
        "--fault",
        "--client",
    ]
    found = storm(
        "--target", sample, "--json", str(tmp_path / "a"), "--report", str(tmp_path / "a")
    )
    assert "--report: must be another file than that of --json" in found.stderr
    for flag in ("--json", "--report"):
        found = storm("--target", sample, flag, str(tmp_path / "no" / "file"))
        assert found.returncode == 2
        assert f"{flag}: must be a file" in found.stderr
    assert storm("--target", sample, "--nonsense").returncode == 2


def test_a_body_may_come_from_a_file(sample: str, tmp_path: Path) -> None:
    """``@FILE`` is the file's text; a file that is not there is bad input."""
    body = tmp_path / "body.json"
    body.write_text('{"q": "from a file"}')
    words = ("--target", sample, "--path", "/tools/search", "--seconds", "1", "--agents", "3")
    assert storm(*words, "--body", f"@{body}").returncode == 0
    found = storm(*words, "--body", f"@{body}.none")
    assert found.returncode == 2
    assert "--body: cannot be read" in found.stderr


@pytest.mark.parametrize(
    ("url", "words", "told"),
    [
        ("http://127.0.0.1:1", (), "is the service running"),
        ("http://no-such-name.localhost:1", (), "is the service running"),
        ("", ("--path", "/nowhere"), "answers 404 to POST /nowhere"),
        ("", ("--method", "GET"), "answers 405 to GET /v1/chat/completions"),
    ],
)
def test_a_target_that_cannot_be_used_is_exit_code_2(
    sample: str, url: str, words: tuple[str, ...], told: str
) -> None:
    """Nobody there, or no such request: said before the load, with the flag that helps."""
    found = storm("--target", url or sample, "--seconds", "1", *words)
    assert found.returncode == 2
    assert told in found.stderr
    assert found.stdout == ""


def test_a_method_that_a_service_does_not_know_is_no_trouble_of_its() -> None:
    """501 is the request's fault, as 405 is; 503 may pass and is only noted."""
    fault, note = _judge_probe(501, "POST /x")
    assert "choose another request with --path, --method" in fault
    assert note == ""
    assert _judge_probe(503, "POST /x") == ("", "Before the run, POST /x was answered 503.")


def test_a_fault_is_put_before_the_service(sample: str, tmp_path: Path) -> None:
    """A refusal for part of the run is seen as refusals, and the waste is known."""
    out = tmp_path / "out.json"
    words = ("--target", sample, "--seconds", "2", "--agents", "10", "--think", "100ms")
    found = storm(*words, "--fault", "refuse:429@1s", "--retries", "0", "--json", str(out))
    assert found.returncode == 0, found.stderr
    side = read(out)["sides"]["target"]
    assert side["refusals"] == side["failed"] > 0
    assert side["succeeded"] > 0
    assert side["waste_ratio"] == pytest.approx(0.0, abs=0.2)
    refused = side["timeline"]["refused_hz"]
    assert sum(refused[:38]) == 0 < sum(refused[40:])
    assert "answers 429 from 1s on" in found.stderr


def test_two_targets_take_turns(sample: str, tmp_path: Path) -> None:
    """The same open demand meets both, and every round of each is in the figures."""
    out = tmp_path / "out.json"
    words = ("--target", sample, "--compare", sample, "--open", "20", "--seconds", "1")
    found = storm(*words, "--json", str(out))
    assert found.returncode == 0, found.stderr
    sides = read(out)["sides"]
    assert list(sides) == ["target", "compare"]
    assert sides["target"]["tasks"] == sides["compare"]["tasks"] > 20
    assert "take turns, 2 each" in found.stderr


def test_two_targets_at_once(sample: str, tmp_path: Path) -> None:
    """Both get the whole load in one fleet, in pairs."""
    out = tmp_path / "out.json"
    words = ("--target", sample, "--compare", sample, "--open", "20", "--seconds", "1")
    found = storm(*words, "--at-once", "--json", str(out))
    assert found.returncode == 0, found.stderr
    sides = read(out)["sides"]
    assert sides["target"]["tasks"] == sides["compare"]["tasks"] > 5


def test_a_governor_is_put_before_the_service(sample: str, tmp_path: Path) -> None:
    """``--governed`` measures the bare service and the governed one, behind the same fault."""
    out = tmp_path / "out.json"
    words = ("--target", sample, "--governed", "--shape", "stall", "--seconds", "2")
    found = storm(*words, "--agents", "10", "--rounds", "1", "--json", str(out))
    assert found.returncode == 0, found.stderr
    result = read(out)
    assert list(result["sides"]) == ["bare", "governed"]
    assert all(side["success_ratio"] > 0.5 for side in result["sides"].values())
    assert all(side["waste_ratio"] is not None for side in result["sides"].values())
    assert result["plan"]["faults"] == ["stall@0.600s+0.400s"]


def test_ctrl_c_ends_early_and_shows_what_was_measured(sample: str) -> None:
    """An interrupt ends the run in order: figures of what had run, no traceback, no orphans."""
    process = subprocess.Popen(
        [sys.executable, "-m", "governor", "storm", "--target", sample, "--seconds", "300"]
        + ["--fault", "latency:10ms"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "fault:" not in process.stderr.readline():
        pass
    time.sleep(3.0)  # the children start; an earlier interrupt is handled too, with less to show
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Interrupted" in out
    assert "Traceback" not in err


def test_secrets_are_masked_in_the_command() -> None:
    """What is kept of the command line has no key, header or body."""
    line = masked(["storm", "--key", "a", "--key=b", "--header", "x: c", "--body=d", "--seed", "1"])
    assert line == ("governor storm --key '***' --key='***' --header '***' --body='***' --seed 1")
