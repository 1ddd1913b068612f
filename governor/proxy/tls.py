"""TLS contexts for both sides.

*Rule of this file*: made once at start; nothing here on the path of a request.
ALPN offers ``http/1.1`` alone, for no other protocol is spoken on either side.
"""

from __future__ import annotations

import ssl


def make_listener_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the context of a listener: TLS 1.2 or newer, with this chain and key (PEM files)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context


def make_upstream_context(verify: bool = True, ca_file: str | None = None) -> ssl.SSLContext:
    """Return the context for https endpoints.

    Parameters
    ----------
    verify : bool
        Check chain and name; False only for tests on one machine.
    ca_file : str, optional
        PEM file with the authorities to trust instead of the system's.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
