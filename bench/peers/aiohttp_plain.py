"""A plain proxy of aiohttp's server and client: what most Python gateways are.

Run as a module it is that proxy; imported, it is the peer.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from bench.children import HOST
from bench.peers.base import Peer
from bench.peers.topology import Topology

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
CHUNK_BYTES = 65_536


class AiohttpPeer(Peer):
    """aiohttp server and client session on uvloop."""

    name = "aiohttp"
    install = "pip install aiohttp uvloop"

    def is_here(self) -> bool:
        """Whether both libraries are found."""
        return all(importlib.util.find_spec(name) for name in ("aiohttp", "uvloop"))

    def version(self) -> str:
        """Return the version of aiohttp."""
        import aiohttp

        return f"aiohttp/{aiohttp.__version__}"

    def command(self, folder: Path, port: int, behind: Topology, admin_port: int) -> list[str]:
        """No configuration: two ports are all. It knows one endpoint only."""
        upstream_port = behind.upstreams[0].ports[0]
        return [sys.executable, "-m", "bench.peers.aiohttp_plain", str(port), str(upstream_port)]


def serve(port: int, upstream_port: int) -> None:
    """Run the proxy until it is stopped."""
    import asyncio

    import uvloop
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = [(k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP]
        async with request.app["session"].request(
            request.method,
            f"http://{HOST}:{upstream_port}{request.rel_url.raw_path_qs}",
            headers=headers,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            for key, value in answer.headers.items():
                if key.lower() not in HOP_BY_HOP:
                    response.headers.add(key, value)
            await response.prepare(request)
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                await response.write(chunk)
            await response.write_eof()
            return response

    async def main() -> None:
        app = web.Application(client_max_size=1 << 40)
        app["session"] = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
        )
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, port, backlog=4096).start()
        await asyncio.Event().wait()

    uvloop.run(main())


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
