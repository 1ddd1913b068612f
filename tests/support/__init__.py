"""Servers, raw clients and fixtures shared by the tests that use real sockets."""
