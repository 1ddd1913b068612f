"""The compose file: it fits the specification, its files exist, its parts find each other."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import yaml

import governor
from governor.control.app import is_host_allowed
from governor.control.monitoring.grafana import make_dashboard
from tests.deploy.files import DEPLOY, ROOT, load_config, parse_command, read

COMPOSE = DEPLOY / "compose"

(PROJECT,) = read(COMPOSE / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
OURS = {name: x for name, x in SERVICES.items() if x["image"].startswith("governor")}


def schema() -> dict[str, Any]:
    """Return the compose specification's schema, as check-jsonschema carries it."""
    found = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json")
    document: dict[str, Any] = json.loads(found.read_text())
    return document


def split_mount(mount: str) -> tuple[str, str]:
    """Return source and target of a volume in the short form."""
    source, target, *_ = mount.split(":")
    return source, target


def test_it_fits_the_specification() -> None:
    """Every field is one of the compose specification, and a wrong one would be found."""
    specification = schema()
    validator = jsonschema.validators.validator_for(specification)(specification)
    assert [error.message for error in validator.iter_errors(PROJECT)] == []
    assert not validator.is_valid({**PROJECT, "services": {"x": {"imagge": "y"}}})


def test_what_is_mounted_exists_and_is_read_only() -> None:
    """Files come from beside the compose file; what is written goes into named volumes."""
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source, _ = split_mount(mount)
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
                assert mount.endswith(":ro")
            else:
                assert source in PROJECT["volumes"]


def test_services_and_networks_that_are_named_exist() -> None:
    """What one waits for is there, and is on a network with it."""
    for service in SERVICES.values():
        assert set(service.get("networks", ["default"])) <= {"default", *PROJECT["networks"]}
        for name in service.get("depends_on", ()):
            shared = set(service.get("networks", ["default"]))
            assert shared & set(SERVICES[name].get("networks", ["default"]))


def test_our_commands_are_taken_by_the_program() -> None:
    """The real parser takes every command line; run names a file that is mounted."""
    for name, service in OURS.items():
        options = parse_command(service["command"])
        if service["command"][0] == "run":
            targets = [split_mount(mount)[1] for mount in service["volumes"]]
            assert [str(options["config"])] == targets, name
    assert parse_command(SERVICES["load"]["command"])["target"] == "http://governor:8080"


def test_the_configuration_leads_to_the_sample() -> None:
    """Governor's upstream is the service that compose starts, at the port it listens on."""
    config = load_config(COMPOSE / "governor.yaml")
    listen = parse_command(SERVICES["tools"]["command"])["listen"]
    port = listen.rpartition(":")[2]
    assert config.upstreams["tools"].endpoints == (f"http://tools:{port}",)
    assert SERVICES["tools"]["environment"]["GOVERNOR_HEALTH"] == (
        f"http://127.0.0.1:{port}/healthz"
    )


def test_ports_are_published_on_loopback_only_and_are_listened_on() -> None:
    """Nothing that asks nobody who he is can be reached from another machine."""
    for service in SERVICES.values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
    config = load_config(COMPOSE / "governor.yaml")
    assert config.admin.parsed is not None
    inside = {config.listeners[0].parsed.port, config.admin.parsed.port}
    assert {int(x.rpartition(":")[2]) for x in SERVICES["governor"]["ports"]} == inside


def test_there_is_time_to_drain() -> None:
    """Docker waits for longer than the drain."""
    grace_s = int(SERVICES["governor"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > load_config(COMPOSE / "governor.yaml").drain_timeout_s + 10


def test_containers_are_hardened_and_pinned() -> None:
    """No capability, no new privilege, bounded memory; a version of every image, ours this one."""
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        image, _, tag = service["image"].partition(":")
        assert image
        assert tag[0].isdigit() or tag[0] == "v", name
        assert tag.count(".") >= 1, name
    for service in OURS.values():
        assert service["read_only"]
        assert service["image"] == f"governor:{governor.__version__}"
        assert (COMPOSE / service["build"]["context"]).resolve() == ROOT


def test_prometheus_scrapes_what_answers_it() -> None:
    """The target is a service of the file, its control port, and a name that is let in."""
    (settings,) = read(COMPOSE / "prometheus" / "prometheus.yaml")
    (scrape,) = settings["scrape_configs"]
    ((target,),) = (x["targets"] for x in scrape["static_configs"])
    host, _, port = target.partition(":")
    admin = load_config(COMPOSE / "governor.yaml").admin
    assert admin.parsed is not None
    assert host in SERVICES
    assert int(port) == admin.parsed.port
    assert is_host_allowed(target, frozenset(admin.hosts))
    assert not is_host_allowed("attacker.example:9090", frozenset(admin.hosts))
    for name in settings["rule_files"]:
        assert yaml.safe_load((COMPOSE / "prometheus" / name).read_text())["groups"]
    mounts = dict(map(split_mount, SERVICES["prometheus"]["volumes"]))
    assert mounts["./prometheus"] == "/etc/prometheus"
    assert (
        f"--config.file={mounts['./prometheus']}/prometheus.yaml"
        in (SERVICES["prometheus"]["command"])
    )


def test_grafana_finds_its_source_and_the_dashboard() -> None:
    """The source is the Prometheus of the file; the dashboard lies where the provider looks."""
    provisioning = COMPOSE / "grafana" / "provisioning"
    (sources,) = read(provisioning / "datasources" / "prometheus.yaml")
    (source,) = sources["datasources"]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert SERVICES[host]["image"].startswith("prom/prometheus:")
    assert port == SERVICES[host]["ports"][0].rpartition(":")[2]
    (providers,) = read(provisioning / "dashboards" / "governor.yaml")
    folder = providers["providers"][0]["options"]["path"]
    targets = [split_mount(mount)[1] for mount in SERVICES["grafana"]["volumes"]]
    assert f"{folder}/governor.json" in targets
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in targets


def test_the_dashboard_chooses_its_source_without_being_imported() -> None:
    """Grafana fills __inputs in only at an import by hand: the source is a variable instead."""
    dashboard = make_dashboard()
    assert "__inputs" not in dashboard
    first = dashboard["templating"]["list"][0]  # others ask it
    assert (first["name"], first["type"], first["query"]) == (
        "DS_PROMETHEUS",
        "datasource",
        "prometheus",
    )
