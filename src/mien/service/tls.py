"""The certificate of the service, and another one while it runs."""

from __future__ import annotations

import logging
import ssl

from mien.errors import ConfigError
from mien.service.settings import Settings

_log = logging.getLogger("mien.service")


def tls_context(settings: Settings, password: str | None = None) -> ssl.SSLContext | None:
    """What TLS needs, or None where there is no certificate; OpenSSL asks for the key's password unless it is given.

    Raises ConfigError where the files cannot be used.
    """
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password)
    except OSError as error:  # SSLError is one
        reason = getattr(error, "reason", None) or error.strerror
        files = f"{settings.tls_cert} and {settings.tls_key}"
        raise ConfigError(f"expected a certificate and its key as PEM files, got {files}: {reason}") from None
    return context


def reload_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    """Let new connections have what the files hold by now. Where they cannot be used, the old certificate stays."""
    try:
        # A context may be left with one file of two, so another one has them first. No password: nobody may be there.
        tls_context(settings, password="")
        context.load_cert_chain(str(settings.tls_cert), settings.tls_key, "")
    except (ConfigError, OSError) as error:
        _log.error("the certificate is still the old one: %s", error)
    else:
        _log.info("the certificate was loaded again")
