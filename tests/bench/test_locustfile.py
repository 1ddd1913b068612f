"""The agents as locust users, in processes of their own (locust patches the whole interpreter)."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.children import HOST, ROOT

if importlib.util.find_spec("locust") is None:  # only looked for: its import patches everything
    pytest.skip("locust is not installed", allow_module_level=True)

LOCUST = [sys.executable, "-m", "locust", "-f", "bench/locustfile.py"]
LOAD = ["--headless", "--users", "6", "--spawn-rate", "50", "--run-time", "100s"]
ENOUGH = ["--agent-tasks", "12"]
"""A run ends when this is done, however slow the machine is; the time only bounds it."""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run locust to its end."""
    return subprocess.run(
        [*LOCUST, *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def counts(prefix: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (requests, failures) by type and name, as they were at the very end."""
    rows = json.loads(Path(f"{prefix}.json").read_text())
    return {(x["method"], x["name"]): (x["num_requests"], x["num_failures"]) for x in rows}


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("SteadyAgent", ["--agent-think", "0.3"]),
        ("HerdAgent", ["--agent-every", "1", "--agent-client", "anthropic"]),
        ("PlannerAgent", ["--agent-widths", "1-3-3", "--agent-client", "claude-code"]),
    ],
)
def test_agents_run_headless(sample: str, tmp_path: Path, agent: str, words: list[str]) -> None:
    """Until enough is done by the sample: tasks are told apart from calls."""
    prefix = tmp_path / "out"
    found = run(agent, *LOAD, *ENOUGH, "--host", sample, "--json-file", str(prefix), *words)
    assert found.returncode == 0, found.stderr
    told = counts(prefix)
    assert told["TASK", "task"][0] > 0
    assert told["POST", "call"][0] >= told["TASK", "task"][0]
    assert told["POST", "call"][1] == told["TASK", "task"][1] == 0
    if agent == "PlannerAgent":
        assert told["TASK", "level 1"][0] > 0


def test_a_failed_call_is_tried_again_and_the_task_fails(tmp_path: Path) -> None:
    """With nobody there a task is as many calls as the law allows, and fails as one."""
    prefix = tmp_path / "out"
    words = ["--agent-think", "0.1", "--agent-retries", "2", "--host", f"http://{HOST}:1"]
    found = run("SteadyAgent", *LOAD, *ENOUGH, "--json-file", str(prefix), *words)
    assert found.returncode == 1
    told = counts(prefix)
    n_tasks, n_failed = told["TASK", "task"]
    assert n_tasks == n_failed > 0
    assert told["POST", "call"][0] >= 3 * n_tasks


def test_a_host_of_others_is_refused(tmp_path: Path) -> None:
    """Without consent no call leaves this machine; the exit code is 2."""
    prefix = tmp_path / "out"
    words = ["--host", "http://192.0.2.1:9", "--json-file", str(prefix)]
    found = run("SteadyAgent", *LOAD, *words)
    assert found.returncode == 2, found.stderr
    assert "--agent-allow-remote" in found.stdout
    assert counts(prefix) == {}


def test_master_and_worker_share_the_load(sample: str, tmp_path: Path) -> None:
    """Distributed: the worker calls, with the master's flags; the master has the figures."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = str(free.getsockname()[1])
    prefix = tmp_path / "out"
    worker = subprocess.Popen(
        [*LOCUST, "SteadyAgent", "--worker", "--master-host", HOST, "--master-port", port],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        master = ["--master", "--master-bind-host", HOST, "--master-bind-port", port]
        words = ["--expect-workers", "1", "--host", sample, "--agent-think", "0.3"]
        found = run("SteadyAgent", *LOAD, *ENOUGH, *master, *words, "--json-file", str(prefix))
        assert found.returncode == 0, found.stderr
        assert counts(prefix)["TASK", "task"][0] > 0
        assert worker.wait(20) == 0
    finally:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
