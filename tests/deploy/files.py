"""The files of examples/deploy as tests see them: parsed, rendered, and what they run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from governor.cli import app
from governor.config.load import load
from governor.config.model import Config

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

GATEWAY = KUBERNETES / "base" / "gateway"
SIDECAR = KUBERNETES / "components" / "sidecar"
OVERLAYS = sorted((KUBERNETES / "overlays").iterdir())
LAYERS = sorted(file.parent for file in KUBERNETES.rglob("kustomization.yaml"))

Document = dict[str, Any]

TOKEN = "GOVERNOR__admin__token"
SECRETS = {TOKEN: "0123456789abcdef"}


def parse(text: str) -> list[Document]:
    """Return the documents of a YAML text."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
    return [document for document in yaml.load_all(text, Loader=loader) if document]


@cache
def read(path: Path) -> list[Document]:
    """Return the documents of a YAML file."""
    return parse(path.read_text())


def kustomization(layer: Path) -> Document:
    """Return what a layer says that it is made of."""
    (document,) = read(layer / "kustomization.yaml")
    return document


@cache
def written() -> tuple[tuple[Path, Document], ...]:
    """Return every resource as it is written, with its file."""
    return tuple(
        (file, document)
        for layer in LAYERS
        for name in kustomization(layer).get("resources", ())
        if (file := layer / name).is_file()
        for document in read(file)
    )


@cache
def render(overlay: Path) -> tuple[Document, ...]:
    """Return what would be applied, as the real kustomize makes it; skips where there is none."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            done = subprocess.run(
                [*command, overlay], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            return tuple(parse(done.stdout))
    pytest.skip("neither kustomize nor kubectl is here")


def of_kind(documents: tuple[Document, ...], kind: str) -> list[Document]:
    """Return the documents of one kind."""
    return [document for document in documents if document["kind"] == kind]


def pods() -> Iterator[tuple[str, Document]]:
    """Yield the specification of every pod as it is written, that of the sidecar's patch too."""
    for file, document in written():
        if document["kind"] == "Deployment":
            yield f"{file.parent.name}/{file.name}", document["spec"]["template"]["spec"]
    (patch,) = read(SIDECAR / "sidecar.yaml")
    spec = patch["spec"]["template"]["spec"]
    yield "sidecar/sidecar.yaml", {**spec, "containers": []}


def containers(pod: Document) -> list[Document]:
    """Return all containers of a pod."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def governors(pod: Document) -> list[Document]:
    """Return the containers that run a proxy."""
    return [container for container in containers(pod) if container["args"][0] == "run"]


def parse_command(arguments: list[str]) -> dict[str, Any]:
    """Return the options of a command line as the real parser reads them; raises if it refuses."""
    group: Any = typer.main.get_command(app)
    outer = group.make_context("governor", list(arguments), resilient_parsing=False)
    name, command, rest = group.resolve_command(outer, [*outer._protected_args, *outer.args])
    options: dict[str, Any] = command.make_context(name, list(rest)).params
    return options


def load_config(file: Path, **environ: str) -> Config:
    """Return a configuration as the program loads it, the token being set."""
    return load(file, environ={**SECRETS, **environ})
