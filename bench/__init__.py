"""Measurements on real sockets: Governor beside nginx, HAProxy and Envoy.

*Rule of this package*: only loopback, every load bounded in count and time,
every process stopped by the id it was started with.
"""
