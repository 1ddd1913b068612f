"""moto's server, and a server that does what S3 does first: it computes the signature again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

ACCESS_KEY, SECRET_KEY, REGION = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", "us-east-1"


class MotoServer:
    """moto's own server with every service in memory."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, self.port = self._server.get_host_and_port()
        self.url = f"http://{host}:{self.port}"

    def close(self) -> None:
        """Stop the server and close its socket."""
        inner = self._server._server
        self._server.stop()
        if inner is not None:
            inner.server_close()


@dataclass(frozen=True)
class Verdict:
    """What the checking server thought of one request."""

    is_valid: bool
    signed_headers: str
    host: str
    was_continued: bool
    body: bytes


class SignatureServer:
    """Answers 200 to a request whose SigV4 signature holds for exactly what arrived, else 403."""

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        outer = self

        class Handler(_SignatureHandler):
            verdicts = outer.verdicts

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self) -> list[Verdict]:
        """The verdicts since the last `take`."""
        verdicts = list(self.verdicts)
        self.verdicts.clear()
        return verdicts

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class _SignatureHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    verdicts: list[Verdict]
    was_continued = False

    def handle_expect_100(self) -> bool:
        """Note that the caller asked before it sent."""
        self.was_continued = True
        return super().handle_expect_100()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _check(self) -> None:
        body = self._read_body()
        is_valid, signed = _verify(self.command, self.path, self.headers, body)
        self.verdicts.append(
            Verdict(is_valid, signed, self.headers["Host"], self.was_continued, body)
        )
        self.was_continued = False
        answer = b"" if is_valid else b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        self.send_response(200 if is_valid else 403)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("ETag", '"etag"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size + 2)[:-2])
        while self.rfile.readline() != b"\r\n":
            pass
        return b"".join(parts)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _check


def _verify(method: str, target: str, headers: Any, body: bytes) -> tuple[bool, str]:
    """Whether the signature in the header or the query is what the received request gives."""
    parts = urlsplit(target)
    query = {key: values[0] for key, values in parse_qs(parts.query, True).items()}
    if "X-Amz-Signature" in query:
        stated = query["X-Amz-Signature"]
        signed, at = query["X-Amz-SignedHeaders"], query["X-Amz-Date"]
        scope = query["X-Amz-Credential"].split("/")
        kept = [pair for pair in parts.query.split("&") if not pair.startswith("X-Amz-Signature=")]
        target = parts.path + "?" + "&".join(kept)
        auth_type: Any = S3SigV4QueryAuth
    else:
        fields = dict(
            part.strip().split("=", 1)
            for part in headers["Authorization"].split(" ", 1)[1].split(",")
        )
        stated, signed = fields["Signature"], fields["SignedHeaders"]
        at, scope = headers["X-Amz-Date"], fields["Credential"].split("/")
        auth_type = S3SigV4Auth if scope[3] == "s3" else SigV4Auth
    request = AWSRequest(method, f"http://{headers['Host']}{target}", data=body)
    for name in signed.split(";"):
        values = headers.get_all(name)
        if values is None:
            return False, signed
        request.headers[name] = ",".join(values)
    request.context["timestamp"] = at
    signer = auth_type(Credentials(ACCESS_KEY, SECRET_KEY), scope[3], scope[2])
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request) == stated, signed
