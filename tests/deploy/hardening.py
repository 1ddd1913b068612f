"""The restricted Pod Security Standard, as far as a manifest can break it.

*Source*: Kubernetes, "Pod Security Standards", profile Restricted; a read-only root file system
is asked for besides.
"""

from __future__ import annotations

from typing import Any

VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "projected", "secret"}
"""And persistentVolumeClaim and csi, which nothing here has a use for."""
HOST = ("hostNetwork", "hostPID", "hostIPC")


def find_privileges(pod: dict[str, Any]) -> list[str]:
    """Return every demand of the standard that a pod does not meet."""
    found = [name for name in HOST if pod.get(name)]
    for volume in pod.get("volumes", ()):
        found += [f"volume {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    whole = pod.get("securityContext", {})
    for container in [*pod.get("initContainers", ()), *pod["containers"]]:
        own = container.get("securityContext", {})
        both = {**whole, **own}
        demands = {
            "runAsNonRoot": both.get("runAsNonRoot") is True and both.get("runAsUser") != 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        }
        met_nowhere = [name for name, is_met in demands.items() if not is_met]
        found += [f"{container['name']}: {name}" for name in met_nowhere]
        found += [f"{container['name']}: privileged"] * bool(own.get("privileged"))
    return found
