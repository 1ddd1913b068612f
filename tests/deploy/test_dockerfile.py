"""The Dockerfile, read: what it copies exists, and what it runs is the program, without root.

*What this is not*: a build. Where there is a docker engine, build it.
"""

from __future__ import annotations

import json
import re

from governor.config.load import load
from governor.control.health import READY_PATHS
from tests.deploy.files import ROOT, governors, parse_command, pods


def instructions() -> list[tuple[str, str]]:
    """Return the instructions, each on one line, without comments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(name, rest.strip()) for name, _, rest in (x.partition(" ") for x in lines) if name]


def last_stage() -> dict[str, str]:
    """Return the instructions of what is shipped; of those that repeat, the last."""
    found = instructions()
    start = max(idx for idx, (name, _) in enumerate(found) if name == "FROM")
    return dict(found[start:])


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """Every source exists, and .dockerignore, which leaves out all but a list, lets it in."""
    allowed = {x[1:] for x in (ROOT / ".dockerignore").read_text().split() if x.startswith("!")}
    sources = {
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_base_is_pinned_and_both_stages_share_it() -> None:
    """Kernels are compiled by the interpreter that runs them: one name, one patch level."""
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert stages == ["${PYTHON_IMAGE} AS build", "${PYTHON_IMAGE}"]
    (image,) = [rest for name, rest in instructions() if name == "ARG"]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-\w+", image)


def test_it_runs_as_the_user_that_the_manifests_say() -> None:
    """By number, which Kubernetes needs to know that it is not root."""
    user, _, group = last_stage()["USER"].partition(":")
    for _, pod in pods():
        for container in governors(pod):
            context = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))


def test_it_starts_the_program_and_asks_it_whether_it_is_ready() -> None:
    """The default command is taken by the parser; the health check asks a path that there is."""
    stage = last_stage()
    assert json.loads(stage["ENTRYPOINT"]) == ["governor"]
    options = parse_command(json.loads(stage["CMD"]))
    flags = {name: options[name] for name in ("listen", "admin")}
    config = load(flags={**flags, "upstream": "http://127.0.0.1:1"}, environ={})
    assert config.admin.parsed is not None
    ports = [config.listeners[0].parsed.port, config.admin.parsed.port]
    assert [int(port) for port in stage["EXPOSE"].split()] == ports
    assert config.admin.parsed.host == "127.0.0.1"  # nothing is shown unasked
    (asked,) = re.findall(r"'http://127\.0\.0\.1:(\d+)(/[\w/]+)'", stage["HEALTHCHECK"])
    assert asked == (str(config.admin.parsed.port), READY_PATHS[0])


def test_kernels_are_compiled_when_it_is_built_for_any_machine() -> None:
    """The same processor name at both times, else they would be compiled again at each start."""
    named = [rest for name, rest in instructions() if name == "ENV"]
    assert len(named) == 2
    assert all("NUMBA_CPU_NAME=generic" in rest.split() for rest in named)
    warm = [rest for name, rest in instructions() if name == "RUN" and "warm_up" in rest]
    assert len(warm) == 1
