"""The Kubernetes manifests: they fit the schemas, hang together, and ask for what there is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import kubernetes_validate.utils
import pytest

import governor
from governor.config.load import load
from governor.errors import ConfigError
from governor.notify import CLOSE_S
from governor.runtime import NOT_READY_S
from tests.deploy.files import (
    GATEWAY,
    KUBERNETES,
    LAYERS,
    OVERLAYS,
    SECRETS,
    SIDECAR,
    TOKEN,
    Document,
    containers,
    governors,
    kustomization,
    load_config,
    of_kind,
    parse_command,
    pods,
    read,
    render,
    written,
)
from tests.deploy.hardening import find_privileges

OLDEST = "1.30"
"""The first in which native sidecars and the sleep of preStop need no feature gate."""
VERSIONS = (OLDEST, kubernetes_validate.latest_version())

CUSTOM = "monitoring.coreos.com"
"""What the Prometheus operator adds; no schema of Kubernetes knows it."""

CONTROL_PORT = 9090
"""Compared with every configuration below."""

CONFIGS = sorted(KUBERNETES.rglob("governor.yaml"))


def identify(value: Any) -> str:
    """Name a case by the end of its path."""
    return str(value.relative_to(KUBERNETES)) if isinstance(value, Path) else str(value)


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once() -> Iterator[None]:
    """The validator reads two megabytes of definitions for each document."""
    utils = kubernetes_validate.utils
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


def check(document: Document, version: str) -> None:
    """Raise if a document does not fit the schema; unknown fields do not."""
    if not document["apiVersion"].startswith(CUSTOM):
        kubernetes_validate.validate(document, version, strict=True)


# -- schemas ------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_fits_the_schema_as_it_is_written(version: str) -> None:
    """The oldest version that is supported and the newest that is known take every field."""
    for _, document in written():
        check(document, version)
    for where, pod in pods():
        metadata = {"name": where.split("/")[0]}
        whole = {**pod, "containers": containers(pod)}
        check({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}, version)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=identify)
def test_every_overlay_renders_and_fits_the_schema(overlay: Path) -> None:
    """What kustomize makes of it is valid, and everything lies in the overlay's namespace."""
    documents = render(overlay)
    namespace = kustomization(overlay)["namespace"]
    for document in documents:
        check(document, VERSIONS[-1])
        if document["kind"] == "Namespace":
            assert document["metadata"]["name"] == namespace
        else:
            assert document["metadata"]["namespace"] == namespace


def test_a_wrong_field_would_be_found() -> None:
    """The check is no rubber stamp."""
    (service,) = read(GATEWAY / "service.yaml")
    with pytest.raises(kubernetes_validate.ValidationError):
        check({**service, "spec": {**service["spec"], "sesionAffinity": "None"}}, OLDEST)


# -- structure ----------------------------------------------------------------


def named(layer: Path) -> set[Path]:
    """Return every file and folder that a kustomization names."""
    document = kustomization(layer)
    names = [*document.get("resources", ()), *document.get("components", ())]
    names += [patch["path"] for patch in document.get("patches", ()) if "path" in patch]
    for generator in document.get("configMapGenerator", ()):
        names += generator["files"]
    return {(layer / name).resolve() for name in names}


@pytest.mark.parametrize("layer", LAYERS, ids=identify)
def test_what_a_kustomization_names_is_there_and_nothing_else(layer: Path) -> None:
    """No file is missing, none lies about unused, and folders are layers."""
    files = {path for path in named(layer) if path.is_file()}
    assert files == {x for x in layer.iterdir() if x.name != "kustomization.yaml"}
    assert named(layer) - files <= set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS, ids=identify)
def test_a_patch_has_something_to_patch(layer: Path) -> None:
    """Each target names a kind, and a name that the base has or a label that the sample has."""
    deployments = [x for _, x in written() if x["kind"] == "Deployment"]
    for patch in kustomization(layer).get("patches", ()):
        target = patch["target"]
        key, _, value = target.get("labelSelector", "").partition("=")
        assert target["kind"] == "Deployment"
        assert [
            x
            for x in deployments
            if target.get("name") == x["metadata"]["name"]
            or (key and x["metadata"]["labels"].get(key) == value)
        ]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=identify)
def test_what_refers_to_pods_finds_them(overlay: Path) -> None:
    """Selectors match the labels of a pod, and ports are ports of it.

    Those of a sidecar are given by number: before 1.32 a Service, and to this day some network
    plugins, find named ports of ordinary containers only (kubernetes/kubernetes#127958).
    """
    documents = render(overlay)
    templates = [x["spec"]["template"] for x in of_kind(documents, "Deployment")]

    def matches(selector: dict[str, str]) -> list[Document]:
        return [x for x in templates if selector.items() <= x["metadata"]["labels"].items()]

    for service in of_kind(documents, "Service"):
        (template,) = matches(service["spec"]["selector"])
        usual = {**template["spec"], "initContainers": ()}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in {
                *port_numbers(usual),
                *port_numbers(template["spec"]).values(),
            }
    for budget in of_kind(documents, "PodDisruptionBudget"):
        assert matches(budget["spec"]["selector"]["matchLabels"])
    for policy in of_kind(documents, "NetworkPolicy"):
        (template,) = matches(policy["spec"]["podSelector"]["matchLabels"])
        for rule in policy["spec"]["ingress"]:
            numbers = set(port_numbers(template["spec"]).values())
            assert {port["port"] for port in rule["ports"]} <= numbers
    for monitor in of_kind(documents, "PodMonitor"):
        (expression,) = monitor["spec"]["selector"]["matchExpressions"]
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        (template,) = [
            x
            for x in templates
            if x["metadata"]["labels"].get(expression["key"]) in expression["values"]
        ]
        assert endpoint["port"] in port_numbers(template["spec"])


@pytest.mark.parametrize("overlay", OVERLAYS, ids=identify)
def test_volumes_and_accounts_exist(overlay: Path) -> None:
    """Every mount has its volume; every ConfigMap, account and scale target is in the overlay."""
    documents = render(overlay)
    names = {(x["kind"], x["metadata"]["name"]) for x in documents}
    for deployment in of_kind(documents, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
        for container in containers(pod):
            assert {x["name"] for x in container.get("volumeMounts", ())} <= set(volumes)
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
        assert pod.get("serviceAccountName") in (None, "governor")
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", "governor") in names
    for scaler in of_kind(documents, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in names
        assert all("replicas" not in x["spec"] for x in of_kind(documents, "Deployment"))


# -- what is asked of the program ---------------------------------------------


def port_numbers(pod: Document) -> dict[str, int]:
    """Return the ports of a pod by name."""
    return {
        port["name"]: port["containerPort"]
        for container in containers(pod)
        for port in container.get("ports", ())
    }


@pytest.mark.parametrize("file", CONFIGS, ids=identify)
def test_every_configuration_loads_and_listens_where_the_manifests_say(file: Path) -> None:
    """Governor takes it, and its ports are those that are probed, scraped and served."""
    config = load_config(file)
    assert config.admin.parsed is not None
    ((_, pod),) = [x for x in pods() if x[0].startswith("gateway/")]
    ((_, beside),) = [x for x in pods() if x[0].startswith("sidecar/")]
    listening = {
        "governor": config.listeners[0].parsed.port,
        "governor-admin": config.admin.parsed.port,
    }
    assert port_numbers(pod) == port_numbers(beside) == listening
    assert listening["governor-admin"] == CONTROL_PORT
    for address in (config.listeners[0].parsed, config.admin.parsed):
        assert address.host == "0.0.0.0"  # nobody reaches a pod's loopback


def test_the_command_lines_are_the_programs() -> None:
    """Every container's arguments are taken by the real parser, and name a mounted file."""
    for _, pod in pods():
        for container in containers(pod):
            options = parse_command(container["args"])
            if container["args"][0] == "run":
                (mount,) = [
                    x for x in container["volumeMounts"] if x["mountPath"] == "/etc/governor"
                ]
                assert mount["readOnly"]
                assert options["config"] == Path("/etc/governor/governor.yaml")


def test_the_environment_is_the_programs(tmp_path: Path) -> None:
    """What is set from the Secret becomes the token; a name that the schema lacks is refused."""
    for _, pod in pods():
        for container in governors(pod):
            assert [x["name"] for x in container["env"]] == [TOKEN]
            assert container["env"][0]["valueFrom"]["secretKeyRef"]["optional"]
    for file in CONFIGS:
        assert load(file, environ={}).admin.token is None
        token = load(file, environ=SECRETS).admin.token
        assert token is not None
        assert token.get_secret_value() == SECRETS[TOKEN]
        with pytest.raises(ConfigError):
            load(file, environ={"GOVERNOR__admin__tokn": SECRETS[TOKEN]})


def test_the_upstream_of_a_sidecar_can_be_named() -> None:
    """By a variable, where the service listens elsewhere than on port 9000."""
    (endpoint,) = load_config(SIDECAR / "governor.yaml").upstreams["service"].endpoints
    assert endpoint == "http://127.0.0.1:9000"
    config = load_config(SIDECAR / "governor.yaml", UPSTREAM="http://127.0.0.1:3000")
    assert config.upstreams["service"].endpoints == ("http://127.0.0.1:3000",)


def test_a_pod_has_time_to_drain() -> None:
    """The grace period holds the preStop, the turn to not ready, the drain and the closing."""
    (deployment,) = read(GATEWAY / "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pause_s = container["lifecycle"]["preStop"]["sleep"]["seconds"] + NOT_READY_S + CLOSE_S
    grace_s = pod["terminationGracePeriodSeconds"]
    assert grace_s >= pause_s + load_config(GATEWAY / "governor.yaml").drain_timeout_s
    production = KUBERNETES / "overlays" / "gateway-production"
    (rendered,) = of_kind(render(production), "Deployment")
    grace_s = rendered["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s >= pause_s + load_config(production / "governor.yaml").drain_timeout_s


def test_every_image_is_this_version() -> None:
    """No manifest runs another Governor than the one it came with."""
    for _, pod in pods():
        for container in containers(pod):
            assert container["image"] == f"governor:{governor.__version__}"
    (image,) = kustomization(KUBERNETES / "overlays" / "gateway-production")["images"]
    assert image["name"] == "governor"
    assert image["newTag"] == governor.__version__


# -- security -----------------------------------------------------------------


def test_pods_meet_the_restricted_standard() -> None:
    """No root, no privilege, nothing writable but what is mounted for it, no API token."""
    for where, pod in pods():
        assert find_privileges(pod) == [], where
        for container in containers(pod):
            assert container["resources"]["limits"]["memory"], where
            assert "cpu" not in container["resources"]["limits"], where
        if "serviceAccountName" in pod:
            assert not pod["automountServiceAccountToken"]


def test_a_privilege_would_be_found() -> None:
    """Each of the restricted standard's demands is looked at."""
    assert len(find_privileges({"containers": [{"name": "x"}], "hostNetwork": True})) == 6
    volumes = [{"name": "x", "hostPath": {"path": "/"}}]
    assert len(find_privileges({"containers": [], "volumes": volumes})) == 1


@pytest.mark.parametrize("overlay", OVERLAYS, ids=identify)
def test_the_control_port_is_for_prometheus_only(overlay: Path) -> None:
    """It is in no Service, and whoever runs it is let in to from one namespace only."""
    documents = render(overlay)
    for service in of_kind(documents, "Service"):
        assert all(
            x["targetPort"] not in ("governor-admin", CONTROL_PORT)
            for x in service["spec"]["ports"]
        )
    sources = [
        source
        for policy in of_kind(documents, "NetworkPolicy")
        for rule in policy["spec"]["ingress"]
        if any(port["port"] == CONTROL_PORT for port in rule["ports"])
        for source in rule["from"]
    ]
    monitoring = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert sources == [{"namespaceSelector": monitoring}]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=identify)
def test_every_pod_has_a_policy_for_what_comes_in(overlay: Path) -> None:
    """Nobody reaches a service past Governor."""
    documents = render(overlay)
    for deployment in of_kind(documents, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert any(
            policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
            and "Ingress" in policy["spec"]["policyTypes"]
            for policy in of_kind(documents, "NetworkPolicy")
        )
    for policy in of_kind(documents, "NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            assert rule["from"]
            assert rule["ports"]


METADATA = ("169.254.169.254", "fd00:ec2::254")
"""Where a cloud hands out its credentials."""


def test_a_gateway_cannot_be_sent_to_the_clouds_metadata() -> None:
    """Whatever endpoint is configured: addresses outside are TCP 443 only, and never those."""
    (policy,) = read(GATEWAY / "networkpolicy.yaml")
    blocks = [
        (rule, target["ipBlock"])
        for rule in policy["spec"]["egress"]
        for target in rule.get("to", ())
        if "ipBlock" in target
    ]
    assert len(blocks) == 2
    for rule, block in blocks:
        assert [port["port"] for port in rule["ports"]] == [443]
        whole = ip_network(block["cidr"])
        for address in map(ip_address, METADATA):
            if address in whole:
                assert any(address in ip_network(part) for part in block["except"])
    assert all(any(ip_address(x) in ip_network(b["cidr"]) for _, b in blocks) for x in METADATA)


def test_the_sidecar_does_not_fall_silent_before_the_service() -> None:
    """Stopped last, started first, and the service waits until nobody calls it any more."""
    overlay = KUBERNETES / "overlays" / "sidecar-sample"
    (deployment,) = of_kind(render(overlay), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (beside,) = governors(pod)
    assert beside in pod["initContainers"]
    assert beside["restartPolicy"] == "Always"
    assert beside["startupProbe"]
    (service,) = pod["containers"]
    assert service["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5
    assert pod["terminationGracePeriodSeconds"] > 5 + NOT_READY_S + CLOSE_S
