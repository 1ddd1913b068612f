"""What the tests of the pages act on: a Governor, the service behind it, and their switches."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

from tests.support.governed import Governor

TOKEN = "a-token-of-some-length"


class World:
    """A Governor before the sample API."""

    def __init__(self, governor: Governor, sample_url: str) -> None:
        self.governor = governor
        self._sample_url = sample_url

    @property
    def url(self) -> str:
        """Where callers connect."""
        return self.governor.urls["tools"]

    @property
    def control_url(self) -> str:
        """Where the pages are."""
        return self.governor.control_url

    def call(self, flow: str) -> int:
        """Make one call as that flow; return its status."""
        headers = {"x-governor-flow": flow}
        request = urllib.request.Request(f"{self.url}/tools/search?q=x", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def stall(self) -> None:
        """Stop the service's work until :meth:`heal`, a minute at most."""
        self._fault("POST", "?kind=stall&seconds=60")

    def heal(self) -> None:
        """Let the service work."""
        self._fault("DELETE", "")

    def _fault(self, method: str, query: str) -> None:
        request = urllib.request.Request(f"{self._sample_url}/fault{query}", method=method)
        urllib.request.urlopen(request, timeout=20).close()

    def ledger(self) -> dict[str, float]:
        """What was done so far, by the metrics: requests ended, and calls that were acted on."""
        request = urllib.request.Request(f"{self.control_url}/metrics")
        with urllib.request.urlopen(request, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        found = {"requests": 0.0, "acted": 0.0, "waiting": 0.0}
        for line in lines:
            name, _, value = line.rpartition(" ")
            if name.startswith("governor_requests_total{"):
                found["requests"] += float(value)
            elif name.startswith("governor_line_length{"):
                found["waiting"] += float(value)
            elif re.match(r'governor_decisions_total{.*decision="(wait|answer)"', name):
                found["acted"] += float(value)
        return found

    def switch(self, name: str, to: str) -> None:
        """Throw a switch, as the page does."""
        request = urllib.request.Request(
            f"{self.control_url}/switch",
            data=json.dumps({"switch": name, "to": to}).encode(),
            headers={"X-Governor-Write": "1", "Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=20).close()
