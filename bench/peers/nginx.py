"""nginx as a streaming reverse proxy, and with ``limit_conn`` tuned to the slots.

Buffering of requests and responses to disk is off: the other peers stream, and
a gateway in front of agents must.
"""

from __future__ import annotations

from pathlib import Path

from bench.children import HOST
from bench.peers.base import Peer, first_line, which
from bench.peers.topology import Topology, Upstream

HEAD = """
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 18000; multi_accept on; }}
http {{
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
"""
"""One worker that writes into one folder only; the origin of the load tests begins so, too."""

CONFIG = """
  client_max_body_size 0;
  {http}
{upstreams}
  server {{
    listen {host}:{port} backlog=4096;
{locations}
    location /sse {{
      proxy_pass http://{first};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


UPSTREAM = """
  upstream {name} {{
    {servers}
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
"""

LOCATION = """
    location {prefix} {{
      {limit}
      proxy_pass http://{name};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_buffers 16 16k;
      proxy_max_temp_file_size 0;
      proxy_read_timeout 600s;
      proxy_next_upstream {next};
    }}
"""


def nginx_command(folder: Path, body: str) -> list[str]:
    """Write what follows the head into ``nginx.conf``; return the command that runs it."""
    config = folder / "nginx.conf"
    config.write_text(HEAD.format(folder=folder) + body)
    log = folder / "error.log"
    return [which("nginx"), "-p", str(folder), "-c", str(config), "-e", str(log)]


class NginxPeer(Peer):
    """One nginx worker."""

    name = "nginx"
    install = "apt-get install nginx"
    is_tuned = False

    def is_here(self) -> bool:
        """Whether the program is found."""
        return bool(which("nginx"))

    def version(self) -> str:
        """As ``nginx -v`` prints it."""
        return first_line([which("nginx"), "-v"]).removeprefix("nginx version: ")

    def command(self, folder: Path, port: int, behind: Topology, admin_port: int) -> list[str]:
        """Write nginx.conf."""
        body = CONFIG.format(
            host=HOST,
            port=port,
            http=self._zones(behind),
            first=behind.upstreams[0].name,
            upstreams="".join(upstream_block(upstream) for upstream in behind.upstreams),
            locations="".join(self._location(behind, u) for u in behind.upstreams),
        )
        return nginx_command(folder, body)

    def _zones(self, behind: Topology) -> str:
        if not self.is_tuned:
            return ""
        zones = [f"limit_conn_zone $server_port zone={u.name}:1m;" for u in behind.upstreams]
        return " ".join([*zones, "limit_conn_status 429; limit_conn_log_level info;"])

    def _location(self, behind: Topology, upstream: Upstream) -> str:
        return LOCATION.format(
            prefix=behind.prefix(upstream),
            name=upstream.name,
            limit=f"limit_conn {upstream.name} {upstream.all_slots};" if self.is_tuned else "",
            next="off" if len(upstream.ports) == 1 else "error timeout",
        )


def upstream_block(upstream: Upstream) -> str:
    """Return one upstream; with several endpoints least connections and nginx's own ejection."""
    if len(upstream.ports) == 1:
        servers = f"server {HOST}:{upstream.ports[0]} max_fails=0;"
    else:
        each = " ".join(f"server {HOST}:{port};" for port in upstream.ports)
        servers = f"least_conn; {each}"
    return UPSTREAM.format(name=upstream.name, servers=servers)


class NginxLimitConnPeer(NginxPeer):
    """nginx that lets as many requests in as there are slots, and answers 429 to the rest."""

    name = "nginx-limit"
    is_tuned = True
