"""DICOM inside TLS (PS3.15 B.12, BCP 195 after RFC 8996 and 9325): contexts, certificates, and failures in words.

TLS 1.2 with forward secrecy and authenticated encryption, or 1.3; the other side is always verified as a server, and as
a client unless that is switched off.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dicom_node.errors import ConfigurationError

PORT: Final = 2762  # registered for DICOM over TLS (IANA)
WARN_BEFORE: Final = timedelta(days=30)

# RFC 9325 4.2; those of TLS 1.3 are all sound.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)

_UNTRUSTED = "is signed by nobody that we trust: put the CA that signed it into node.tls_ca"
# OpenSSL's verification results (openssl/x509_vfy.h).
_VERIFIED: Final = MappingProxyType(
    {
        9: "is not valid yet: is a clock wrong, here or there?",
        10: "has expired: it must be renewed there (or a clock is wrong)",
        18: "is self-signed: put that very certificate into node.tls_ca, if it is the right one",
        19: "is signed by a CA that we do not trust: put that CA into node.tls_ca, if it is the right one",
        20: _UNTRUSTED,
        21: _UNTRUSTED,
        62: "is for another name",
        64: "is for another address",
    }
)
# What the other side's alert, or OpenSSL's own reason, means; by parts of its name.
_REASONS: Final = MappingProxyType(
    {
        "WRONG_VERSION_NUMBER": "it does not speak TLS on that port",
        "HTTP_REQUEST": "it does not speak TLS on that port",
        "CERTIFICATE_REQUIRED": "it wants a certificate of ours: set node.tls_certificate and node.tls_key",
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate; it needs one by a CA of node.tls_ca, or set "
        "node.tls_require_client_certificate = false",
        "CERTIFICATE_EXPIRED": "it says that our certificate has expired: renew node.tls_certificate",
        "UNKNOWN_CA": "it does not trust the CA of our certificate: give it that CA",
        "BAD_CERTIFICATE": "it does not accept our certificate",
        "CERTIFICATE_UNKNOWN": "it does not accept our certificate",
        "UNSUPPORTED_PROTOCOL": "it knows no TLS 1.2 or later",
        "PROTOCOL_VERSION": "it knows no TLS 1.2 or later",
        "NO_SHARED_CIPHER": "it has none of the cipher suites of BCP 195",
        "HANDSHAKE_FAILURE": "no cipher suite suits both, or it wants a certificate of ours",
        "EOF": "it hung up in the middle of the handshake",
    }
)


@dataclass(frozen=True, slots=True)
class Files:
    """Where our certificate, its key and those whom we trust lie; PEM. Hashable, so that addresses may hold it.

    key None: it stands in the file of the certificate. authorities None: whom the machine trusts.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class Secured:
    """TLS for one peer that we call. name: what its certificate must be for."""

    files: Files
    name: str


class ClientContext(ssl.SSLContext):
    """The context of one connection that we open; keeps why it failed, which pynetdicom tells nobody."""

    trouble: OSError | None = None


def server_context(files: Files, *, require_client: bool) -> ssl.SSLContext:
    """How our port speaks. Raises ConfigurationError."""
    if files.certificate is None:
        raise ConfigurationError("the port for TLS needs node.tls_certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, files)
    if require_client:
        if files.authorities is None:
            raise ConfigurationError(
                "which CA signs the certificates of those who call? Set node.tls_ca, or "
                "node.tls_require_client_certificate = false"
            )
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: Files) -> ClientContext:
    """How we speak to a peer: its certificate is verified, and its name. Raises ConfigurationError."""
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, files)
    if files.authorities is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _harden(context: ssl.SSLContext, files: Files) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHERS))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    certificate, key, authorities = files.certificate, files.key, files.authorities
    if certificate is not None:
        words = "node.tls_certificate with node.tls_key"
        _load(words, certificate, lambda: context.load_cert_chain(certificate, key, password=_no_password))
    if authorities is not None:
        _load("node.tls_ca", authorities, lambda: context.load_verify_locations(authorities))


def _no_password() -> str:
    """OpenSSL would ask the terminal for the password of a key that has one."""
    return ""


def _load(setting: str, path: Path, load: Callable[[], None]) -> None:
    """Raises ConfigurationError."""
    try:
        load()
    except ssl.SSLError as error:
        reason = (error.reason or "unreadable").lower().replace("_", " ")
        raise ConfigurationError(
            f"{setting}: {path} holds no PEM that fits ({reason}); a key must have no password"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{setting}: {path} cannot be read ({error.strerror})") from None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What people ask about a certificate. fingerprint: SHA-256, as OpenSSL writes it."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str

    def standing(self, now: datetime) -> str:
        """`valid`, `expires-soon`, `expired` or `not-yet-valid`."""
        if now < self.not_before:
            return "not-yet-valid"
        if now >= self.not_after:
            return "expired"
        return "expires-soon" if now >= self.not_after - WARN_BEFORE else "valid"

    def days_left(self, now: datetime) -> float:
        """Until it expires; below 0 afterwards."""
        return (self.not_after - now).total_seconds() / 86400


def read_certificate(path: Path) -> Certificate:
    """The first certificate of a PEM file, which is its owner's. Raises ConfigurationError."""
    return read_certificates(path)[0]


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """All of a PEM file, at least one. Raises ConfigurationError."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"the certificate {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no certificate in PEM") from error
    return tuple(certificate_of(one) for one in found)


def must_fit(section: str, certificate: Path, key: Path | None) -> None:
    """Raises ConfigurationError where the key is not that of the certificate, as the port would when it opens."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    words = f"{section}.tls_certificate with {section}.tls_key"
    _load(words, certificate, lambda: context.load_cert_chain(certificate, key, password=_no_password))


def certificate_of(found: x509.Certificate) -> Certificate:
    """In our words."""
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(name.value) for name in alternatives if isinstance(name, x509.DNSName | x509.IPAddress))
    except x509.ExtensionNotFound:
        names = ()
    digest = hashlib.sha256(found.public_bytes(Encoding.DER)).hexdigest().upper()
    return Certificate(
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        names=names,
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        fingerprint=":".join(digest[place : place + 2] for place in range(0, len(digest), 2)),
    )


def explain(error: OSError, *, name: str = "") -> str:
    """Why a handshake failed, as the end of a sentence about the other side; `name`: whom we looked for."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _VERIFIED.get(error.verify_code, f"is not accepted ({error.verify_message})")
        if error.verify_code in {62, 64}:
            words += f" than {name!r}: correct its host, or name what it carries with --tls-name"
        return f"its certificate {words}"
    if isinstance(error, TimeoutError):
        return "it did not finish the handshake in time; does it speak TLS on that port?"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or type(error).__name__
        return next((words for part, words in _REASONS.items() if part in reason.upper()), f"TLS failed ({reason})")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it hung up in the middle of the handshake; does it speak TLS on that port?"
    return f"TLS failed ({type(error).__name__})"
