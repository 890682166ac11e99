"""A certification authority for one test, and certificates with faults."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dicom_node.tls import Files

DAY = timedelta(days=1)


@dataclass
class Authority:
    """Signs certificates and writes them into a folder. `file`: its own certificate."""

    folder: Path
    name: str = "Hospital CA"
    file: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _named(self.name)
        self.file = self.folder / f"{self.name.replace(' ', '-')}.pem"
        now = datetime.now(UTC)
        made = _builder(self._subject, self._subject, self._key, now - DAY, now + 365 * DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        alternatives: Sequence[str] = ("localhost", "127.0.0.1"),
        begins: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        trusts: Path | None = None,
        self_signed: bool = False,
    ) -> Files:
        """A certificate with its key; `trusts`: whom its owner trusts, this authority unless told."""
        key = ec.generate_private_key(ec.SECP256R1())
        now, subject = datetime.now(UTC), _named(name)
        issuer, signer = (subject, key) if self_signed else (self._subject, self._key)
        made = _builder(subject, issuer, key, now + begins, now + ends)
        made = made.add_extension(x509.SubjectAlternativeName([_name(one) for one in alternatives]), critical=False)
        certificate, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Files(certificate, secret, trusts or self.file)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return made.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
