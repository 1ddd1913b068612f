"""What is made from the program is what the program makes; what is asked of it, it answers."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp import ClientSession

from governor.control import ControlPlane
from tests.control.stub import StubRuntime
from tests.deploy.files import ROOT, governors, of_kind, pods, written


def load_writer() -> ModuleType:
    """Return the script that `make monitoring` runs."""
    spec = importlib.util.spec_from_file_location(
        "write_monitoring", ROOT / ".ci" / "monitoring.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES: dict[Path, str] = load_writer().make_files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_generated_is_up_to_date(path: Path) -> None:
    """After a change of a panel or a rule: `make monitoring`."""
    assert path.read_text() == FILES[path]


def asked_paths() -> set[str]:
    """Return every path of the control port that probes and Prometheus ask for."""
    found = {
        container[probe]["httpGet"]["path"]
        for _, pod in pods()
        for container in governors(pod)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    monitors = of_kind(tuple(x for _, x in written()), "PodMonitor")
    return found | {x["path"] for y in monitors for x in y["spec"]["podMetricsEndpoints"]}


@pytest.fixture
async def control() -> AsyncIterator[ControlPlane]:
    """A control plane, listening, of a runtime that is ready."""
    control = ControlPlane(StubRuntime())
    await control.start()
    yield control
    await control.close()


async def test_probes_and_scrapes_ask_for_what_there_is(control: ControlPlane) -> None:
    """Every path is answered with 200 by the real control plane, asked by address."""
    assert {"/healthz/ready", "/healthz/live", "/metrics"} == asked_paths()
    async with ClientSession(control.url) as session:
        for path in asked_paths():
            async with session.get(path) as answer:
                assert answer.status == 200, path


def test_probes_ask_the_port_that_is_called_so() -> None:
    """By name; readiness leads traffic away, liveness does not ask for readiness."""
    for _, pod in pods():
        for container in governors(pod):
            names = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] in names
            assert container["livenessProbe"]["httpGet"]["path"].endswith("live")
            assert container["readinessProbe"]["httpGet"]["path"].endswith("ready")
