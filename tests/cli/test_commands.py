"""The commands, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import governor
from governor.cli import app
from governor.cli.run import what_next
from governor.config.model import Config

ROOT = Path(governor.__file__).parent.parent


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``governor`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "governor", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_is_the_packages() -> None:
    """One line with the version."""
    assert call("version").stdout.startswith(f"governor {governor.__version__} ")


def test_schema_is_json() -> None:
    """The schema can be given to an editor as it is."""
    schema = json.loads(call("schema").stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert "upstreams" in schema["required"]


def test_a_broken_pipe_is_no_error_message() -> None:
    """`governor schema | head -1` ends quietly."""
    line = f"{sys.executable} -m governor schema | head -1"
    found = subprocess.run(
        line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout == "{\n"
    assert found.stderr == ""


def test_check_describes_a_valid_file(tmp_path: Path) -> None:
    """A valid file is described, and the exit code is 0."""
    file = tmp_path / "ok.yaml"
    file.write_text("upstreams: {a: {endpoints: [http://a:1]}}")
    found = call("check", str(file))
    assert found.returncode == 0
    assert f"{file} is valid" in found.stdout


def test_check_lists_every_problem(tmp_path: Path) -> None:
    """Problems go to standard error with file and line, and the exit code is 1."""
    file = tmp_path / "bad.yaml"
    file.write_text("upstreams:\n  a: {endpoints: [ftp://a], limt: 3}\n")
    found = call("check", str(file))
    assert found.returncode == 1
    assert found.stdout == ""
    assert f"{file}:2: upstreams.a.limt: is not known here; did you mean 'limit'?" in found.stderr
    assert "2 problems; nothing was started" in found.stderr


def test_run_refuses_bad_flags_before_anything_starts() -> None:
    """Each bad flag is named."""
    found = call("run", "--upstream", "ftp://a", "--mode", "fast", "--listen", "x")
    assert found.returncode == 1
    for flag in ("--upstream", "--mode", "--listen"):
        assert flag in found.stderr
    assert "Traceback" not in found.stderr


def test_a_recording_that_is_not_there_is_named() -> None:
    """`--file` of `governor explain` is asked for before anything is read."""
    found = CliRunner().invoke(app, ["explain", "ID", "--file", "/no/such.rec"])
    assert found.exit_code == 2
    assert "--file" in found.output
    assert "does not exist" in found.output


def test_the_version_is_also_a_flag() -> None:
    """What most programs take is taken."""
    runner = CliRunner()
    assert runner.invoke(app, ["--version"]).output == runner.invoke(app, ["version"]).output != ""


def test_help_shows_the_defaults_that_a_file_may_set() -> None:
    """A default in brackets would be taken for markup and vanish."""
    text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "140"}).output
    for words in ("127.0.0.1:8080)", "127.0.0.1:9090)", "govern)"):
        assert f"(default: {words}" in text


def test_without_a_command_the_help_is_shown() -> None:
    """`governor` alone lists the commands."""
    found = call()
    for command in ("run", "check", "schema", "version", "sample"):
        assert command in found.stdout + found.stderr


@pytest.mark.parametrize("has_sample", [True, False])
def test_at_a_terminal_the_next_steps_are_shown(has_sample: bool) -> None:
    """A curl line, the state page, the lines for agents' SDKs; with the sample, the way on."""
    config = Config.single("http://127.0.0.1:9000")
    lines = what_next(config, "http://127.0.0.1:1", "http://127.0.0.1:2", has_sample=has_sample)
    text = "\n".join(lines)
    assert "curl" in text
    assert "http://127.0.0.1:2/dashboard" in text
    assert "OPENAI_BASE_URL=http://127.0.0.1:1/v1" in text
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:1\n" in text
    assert ("governor run --upstream" in text) == has_sample
    assert ("http://127.0.0.1:9000." in text) != has_sample


def test_dashboards_for_a_monitoring_stack_are_printed() -> None:
    """`governor dashboard grafana` is JSON, `alerts` a rule file."""
    runner = CliRunner()
    grafana = runner.invoke(app, ["dashboard", "grafana"])
    assert json.loads(grafana.stdout)["title"] == "Governor"
    alerts = runner.invoke(app, ["dashboard", "alerts"])
    assert alerts.stdout.startswith("groups:\n- name: governor\n")
