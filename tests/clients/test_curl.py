"""curl, unmodified: its output, exit code and timings-free report are the same both ways."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Site
from tests.support.compare import end_to_end
from tests.support.origin import Origin
from tests.support.seen import seen

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

REPORT = "%{http_code} %{size_download} %{size_upload} %{num_connects} %{content_type}"


def run(base: str, *arguments: str, path: str = "", stdin: bytes = b"") -> tuple[Any, ...]:
    """Exit code, report, response heads and body of one curl command."""
    command = [
        "curl",
        "--silent",
        "--max-time",
        "10",
        "--noproxy",
        "*",
        "--dump-header",
        "/dev/fd/2",
    ]
    command += ["--write-out", "\n" + REPORT, *arguments, base + path]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=20, check=False)
    body, _, report = done.stdout.rpartition(b"\n")
    return done.returncode, report, heads(done.stderr), body


def heads(dumped: bytes) -> list[Any]:
    """Status line and end-to-end fields of each head that curl dumped."""
    found = []
    for head in dumped.split(b"\r\n\r\n"):
        if not head:
            continue
        first, *lines = head.split(b"\r\n")
        fields = [line.partition(b":")[::2] for line in lines]
        found.append((first, end_to_end([(name, value.strip()) for name, value in fields])))
    return found


def check(origin: Site[Origin], *arguments: str, path: str = "/echo", stdin: bytes = b"") -> Any:
    """Run the same command directly and governed; all must be equal."""
    results, received = [], []
    for base in (origin.direct, origin.governed):
        results.append(run(base, *arguments, path=path, stdin=stdin))
        received.append(seen(origin.server.take()))
    assert results[1] == results[0]
    assert received[1] == received[0]
    return results[0], received[0]


def test_get(origin: Site[Origin]) -> None:
    """A GET is the same to the byte, unusual target included."""
    path = "//a/%2e%2e/b;p=1?x=%20&y=%C3%BC&&=&z"
    _, received = check(origin, "--path-as-is", path=path)
    assert received[0][1] == path.encode()


def test_raw_bytes_in_the_target(origin: Site[Origin]) -> None:
    """The non-ASCII bytes that curl leaves in a query stay as they are."""
    _, received = check(origin, "--path-as-is", path="/a/../b?y=ü")
    assert received[0][1] == "/a/../b?y=ü".encode()


def test_http10(origin: Site[Origin]) -> None:
    """An HTTP/1.0 caller gets a body it can find the end of."""
    for base in (origin.direct, origin.governed):
        code, report, _, body = run(base, "--http1.0", path="/one-byte-chunks")
        expected = b"one byte at a time"
        if base == origin.governed:
            assert (code, body) == (0, expected)
            assert report.startswith(b"200 18 0")
        code, _, _, body = run(base, "--http1.0", "--data", "x=1", path="/echo")
        assert (code, body) == (0, b"x=1")
    origin.server.take()


def test_head(origin: Site[Origin]) -> None:
    """-I shows the length of the body that does not come, and ends at once."""
    (code, report, _, _), _ = check(origin, "-I", path="/sized")
    assert code == 0
    assert report.startswith(b"200 0 0")


def test_upload_waits_for_100_continue(origin: Site[Origin], tmp_path: Path) -> None:
    """-T with Expect: 100-continue shows the interim head of the origin and uploads the file."""
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 8192)
    expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "9"]
    (code, _, shown, body), received = check(origin, *expect, "-T", str(file))
    assert code == 0
    assert [first for first, _ in shown] == [b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK"]
    assert body == file.read_bytes()
    assert ("Expect", "100-continue") in received[0][2]


def test_refused_expectation(origin: Site[Origin], tmp_path: Path) -> None:
    """A 413 in place of 100 Continue arrives, and the body is never sent."""
    file = tmp_path / "file"
    file.write_bytes(bytes(4 << 20))
    expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "9"]
    (code, report, _, body), _ = check(origin, *expect, "-T", str(file), path="/refuse")
    assert (code, body) == (0, b"too much")
    assert report.split()[2] == b"0"


def test_chunked_upload(origin: Site[Origin]) -> None:
    """An upload of unknown length from a pipe arrives whole."""
    content = b"0123456789abcdef" * 65536
    arguments = ["-T", "-", "-H", "Expect:", "-w", "\n%{http_code}"]  # its count has the framing
    (code, _, _, body), _ = check(origin, *arguments, stdin=content)
    assert code == 0
    assert body == content


def test_compressed_is_untouched(origin: Site[Origin]) -> None:
    """Without --compressed the gzip bytes arrive as sent; with it curl can decode them."""
    check(origin, "-H", "Accept-Encoding: gzip", path="/gzip")
    (_, _, _, body), _ = check(origin, "--compressed", path="/gzip")
    assert body == b"compress me " * 400


def test_options_asterisk(origin: Site[Origin]) -> None:
    """OPTIONS * reaches the origin as *."""
    _, received = check(origin, "-X", "OPTIONS", "--request-target", "*", path="/")
    assert received[0][:2] == ("OPTIONS", b"*")


def test_large_headers(origin: Site[Origin]) -> None:
    """Forty headers of 1,000 bytes pass, in order."""
    fields = [f"X-Large-{number}: {'v' * 1000}{number}" for number in range(40)]
    arguments = [word for field in fields for word in ("-H", field)]
    _, received = check(origin, *arguments)
    sent = [f"{name}: {value}" for name, value in received[0][2]]
    assert [field for field in sent if field.startswith("X-Large")] == fields


def test_odd_headers_both_ways(origin: Site[Origin]) -> None:
    """Empty, repeated, mixed-case and unusual fields keep value, order and number."""
    odd = ["X-Empty;", "x-lower: 1", "X-Twice: a", "X-Other: -", "X-Twice: b", "Cookie: a=1; b=2",
           "X-Quoted: \"a, b\"; c", "Accept: */*;q=0.1", "User-Agent: curl/odd (x)"]  # fmt: skip
    arguments = [word for field in odd for word in ("-H", field)]
    check(origin, *arguments, path="/odd-fields")
    check(origin, *arguments)


def test_range_and_cookies(origin: Site[Origin]) -> None:
    """A range gives 206 with its Content-Range; an impossible one gives 416."""
    (_, report, _, body), _ = check(origin, "-r", "100-199", path="/range")
    assert report.startswith(b"206 100")
    assert len(body) == 100
    (_, report, _, _), _ = check(origin, "-r", "99999-", path="/range")
    assert report.startswith(b"416")


def test_connection_reuse(origin: Site[Origin]) -> None:
    """Three URLs in one command use one connection."""
    for base in (origin.direct, origin.governed):
        command = ["curl", "--silent", "--noproxy", "*", "-w", "%{num_connects} "]
        command += [f"{base}/status?code=200"] * 3
        done = subprocess.run(command, capture_output=True, timeout=20, check=True)
        assert [line.split()[-1] for line in done.stdout.splitlines()][-1] == b"0"
