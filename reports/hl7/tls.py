"""MLLP inside TLS, after BCP 195 as IHE ATNA asks for it: TLS 1.2 with forward secrecy, or 1.3, both ends verified."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dicom_node.errors import ConfigurationError
from reports.config import Hl7Config

SCHEME: Final = "mllps"

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2 (RFC 9325, 4.2); those of 1.3 are all sound


def server_context(hl7: Hl7Config) -> ssl.SSLContext | None:
    """How our port speaks; None: without TLS. A client needs a certificate by `hl7.tls_ca` unless that is not wanted.

    Raises ConfigurationError: a file is missing or is no such thing, or client certificates without a CA.
    """
    if hl7.tls_certificate is None:
        return None
    context = _context(ssl.PROTOCOL_TLS_SERVER, hl7)
    if hl7.tls_require_client_certificate:
        if hl7.tls_ca is None:
            words = "which CA signs the certificates of senders? Set hl7.tls_ca, or hl7.tls_require_client_certificate"
            raise ConfigurationError(f"{words} = false")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(hl7: Hl7Config) -> ssl.SSLContext:
    """How we speak to mllps:// destinations: verified by `hl7.tls_ca`, else by what the machine trusts.

    Raises ConfigurationError.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, hl7)
    if hl7.tls_ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _context(protocol: ssl._SSLMethod, hl7: Hl7Config) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if hl7.tls_certificate is not None:
        certificate, key = hl7.tls_certificate, hl7.tls_key
        _load("hl7.tls_certificate with hl7.tls_key", certificate, lambda: context.load_cert_chain(certificate, key))
    if hl7.tls_ca is not None:
        ca = hl7.tls_ca
        _load("hl7.tls_ca", ca, lambda: context.load_verify_locations(ca))
    return context


def _load(setting: str, path: Path, load: Callable[[], None]) -> None:
    """Raises ConfigurationError."""
    try:
        load()
    except ssl.SSLError as error:
        words = f"{setting}: {path} holds no PEM that fits ({error.reason or 'unreadable'})"
        raise ConfigurationError(words) from None
    except OSError as error:
        raise ConfigurationError(f"{setting}: {path} cannot be read ({error.strerror})") from None
