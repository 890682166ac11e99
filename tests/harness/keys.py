"""Private keys in PEM files, as an administrator makes them."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)


def rsa_key(file: Path, *, bits: int = 2048, password: bytes = b"") -> Path:
    return _write(file, rsa.generate_private_key(65537, bits), password)


def ec_key(file: Path, curve: ec.EllipticCurve = ec.SECP384R1()) -> Path:  # noqa: B008  it is frozen
    return _write(file, ec.generate_private_key(curve), b"")


def _write(file: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes) -> Path:
    """Readable by its owner only."""
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    return file
