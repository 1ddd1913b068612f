"""Writes those files of examples/deploy that are made from the program: dashboard and alerts.

Run by ``make monitoring``; a test compares what is there with what would be written.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from governor.control.monitoring.alerts import alerts_yaml, make_rules
from governor.control.monitoring.grafana import grafana_json

DEPLOY = Path(__file__).resolve().parent.parent / "examples" / "deploy"
HEAD = "# Written by `make monitoring` from `governor dashboard alerts`.\n"


def make_files() -> dict[Path, str]:
    """Return every file that is written, with its text."""
    monitoring = DEPLOY / "kubernetes" / "components" / "monitoring"
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "governor", "labels": {"release": "kube-prometheus-stack"}},
        "spec": make_rules(),
    }
    manifest = yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=100)
    return {
        monitoring / "governor.json": grafana_json() + "\n",
        monitoring / "prometheusrule.yaml": HEAD + manifest,
        DEPLOY / "compose" / "prometheus" / "alerts.yaml": HEAD + alerts_yaml(),
    }


def main() -> None:
    """Write them."""
    for path, text in make_files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
