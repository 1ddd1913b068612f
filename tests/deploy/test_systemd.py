"""The systemd unit: systemd takes it, Governor takes its command line, and it says it is ready."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from governor.notify import CLOSE_S
from tests.deploy.files import DEPLOY, ROOT, load_config, parse_command

SYSTEMD = DEPLOY / "systemd"
UNIT = SYSTEMD / "governor.service"


def read_unit() -> dict[str, list[str]]:
    """Return the values of each key, in order; keys are unique to their sections here."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#;[":
            key, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(key, []).append(value)
    return found


def one(key: str) -> str:
    """Return the only value of a key."""
    (value,) = read_unit()[key]
    return value


def test_the_command_line_is_the_programs() -> None:
    """The real parser takes it; the file lies in the unit's own configuration directory."""
    program, *arguments = shlex.split(one("ExecStart"))
    assert program == "/opt/governor/bin/governor"
    options = parse_command(arguments)
    assert options["config"] == Path("/etc") / one("ConfigurationDirectory") / "governor.yaml"


def test_its_configuration_loads_and_is_reached_from_this_machine_only() -> None:
    """As long as nobody says otherwise."""
    config = load_config(SYSTEMD / "governor.yaml")
    assert config.listeners[0].parsed.host == "127.0.0.1"
    assert config.admin.parsed is not None
    assert config.admin.parsed.host == "127.0.0.1"


def test_what_it_writes_lies_where_it_may() -> None:
    """Compiled kernels in the cache directory, recordings in the state directory."""
    settings = dict(x.split("=", 1) for x in shlex.split(one("Environment")))
    assert settings["NUMBA_CACHE_DIR"] == f"%C/{one('CacheDirectory')}"
    assert one("WorkingDirectory") == f"%S/{one('StateDirectory')}"
    recorder = load_config(SYSTEMD / "governor.yaml").recorder
    assert not Path(recorder.file).is_absolute()
    assert one("ProtectSystem") == "strict"


def test_it_has_descriptors_for_every_connection_that_is_allowed() -> None:
    """A listener's callers, an endpoint's connections, and room for more endpoints."""
    config = load_config(SYSTEMD / "governor.yaml")
    n_callers = config.listeners[0].max_connections
    n_upstream = config.upstreams["default"].max_connections
    assert int(one("LimitNOFILE")) >= 2 * (n_callers + n_upstream)


def test_there_is_time_to_drain_and_to_compile() -> None:
    """The unit's own patience is longer than the default drain; the first start is slow."""
    drain_s = load_config(SYSTEMD / "governor.yaml").drain_timeout_s
    assert int(one("TimeoutStopSec").removesuffix("s")) >= drain_s + CLOSE_S
    assert int(one("TimeoutStartSec").removesuffix("min")) >= 5


def test_code_that_is_compiled_may_be_run() -> None:
    """MemoryDenyWriteExecute would end it at the first kernel."""
    assert "MemoryDenyWriteExecute" not in read_unit()
    assert one("DynamicUser") == one("NoNewPrivileges") == "yes"
    assert read_unit()["CapabilityBoundingSet"] == [""]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_it(tmp_path: Path) -> None:
    """No word about the unit, its program being there."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/governor/bin/governor", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_program_says_what_the_unit_waits_for(tmp_path: Path) -> None:
    """READY=1 when it listens, then the watchdog; STOPPING=1 with its time on SIGTERM."""
    assert one("Type") == "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(90.0)
        environ = {
            **os.environ,
            "NUMBA_DISABLE_JIT": "1",  # what is said is asked, not how fast
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "60000000",
        }
        command = "run --upstream http://127.0.0.1:1 --listen 127.0.0.1:0 --admin 127.0.0.1:0"
        process = subprocess.Popen(
            [sys.executable, "-m", "governor", *command.split()],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.DEVNULL,
        )
        try:
            assert manager.recv(100) == b"READY=1"
            assert manager.recv(100) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000"
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(20)
