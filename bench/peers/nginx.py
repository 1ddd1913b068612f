"""nginx as a streaming reverse proxy, and with ``limit_conn`` tuned to the slots.

Buffering of requests and responses to disk is off: the other peers stream, and
a gateway in front of agents must.
"""

from __future__ import annotations

from pathlib import Path

from bench.children import HOST
from bench.peers.base import Peer, first_line, which

CONFIG = """
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
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {http}
  upstream service {{
    server {host}:{upstream_port} max_fails=0;
    keepalive 1024;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {host}:{port} backlog=4096;
    location / {{
      {location}
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_buffers 16 16k;
      proxy_max_temp_file_size 0;
      proxy_read_timeout 600s;
      proxy_next_upstream off;
    }}
    location /sse {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


class NginxPeer(Peer):
    """One nginx worker."""

    name = "nginx"
    install = "apt-get install nginx"
    http = ""
    location = ""

    def missing(self) -> str:
        """Return how to install it if it is absent."""
        return "" if which("nginx") else f"not found ({self.install})"

    def version(self) -> str:
        """As ``nginx -v`` prints it."""
        return first_line([which("nginx"), "-v"]).removeprefix("nginx version: ")

    def command(self, folder: Path, port: int, upstream_port: int, admin_port: int) -> list[str]:
        """Write nginx.conf."""
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(
                folder=folder,
                host=HOST,
                port=port,
                upstream_port=upstream_port,
                http=self.http,
                location=self.location,
            )
        )
        return [
            which("nginx"),
            "-p",
            str(folder),
            "-c",
            str(config),
            "-e",
            str(folder / "error.log"),
        ]


class NginxLimitConnPeer(NginxPeer):
    """nginx that lets 32 requests in, tuned by someone who knows the 32 slots."""

    name = "nginx-limit"
    http = (
        "limit_conn_zone $server_port zone=slots:1m; "
        "limit_conn_status 429; limit_conn_log_level info;"
    )
    location = "limit_conn slots 32;"
