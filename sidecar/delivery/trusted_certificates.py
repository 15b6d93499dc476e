"""The certificates that a server may show."""

from __future__ import annotations

import ssl

from sidecar.delivery.delivery_error import DeliveryError, network_error


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Verifies certificates and names with the authorities of the system and those in `ca_file` ("": none).
    Reads files, so call it in a thread."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise DeliveryError(f"[notify] ca_file {ca_file}: {network_error(error)}") from None
    return context
