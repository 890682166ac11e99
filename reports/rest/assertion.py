"""Client assertions (RFC 7523 2.2): a token server knows us by a signature, as SMART Backend Services wants it.

The key is read whenever something is to be signed, so that a new one needs no start. No message holds anything of it.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from dicom_node.credentials import Credential
from dicom_node.errors import ConfigurationError

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFE: Final = 240  # seconds; five minutes are the most that a server may take, and its clock may be another
_LARGEST: Final = 65_536  # bytes of a key file
_LEAST_BITS: Final = 2048  # of RSA (RFC 7518 3.3)
_MAKE: Final = "make one: openssl ecparam -name secp384r1 -genkey -noout -out FILE"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and the algorithm that goes with it (RFC 7518 3.1): RS384 or ES384."""

    algorithm: str
    key: RSAKey | ECKey

    def public(self, key_id: str) -> dict[str, Any]:
        """What the server is to know of it: a JWK (RFC 7517) without anything private."""
        return {**self.key.as_dict(private=False), "kid": key_id, "alg": self.algorithm, "use": "sig"}


def read_key(path: Path) -> SigningKey:
    """The private key in a PEM file. Raises ConfigurationError: absent, open to everybody, or no key that can sign."""
    content = _content(path)
    try:
        found = load_pem_private_key(content, password=None)
    except TypeError:
        raise ConfigurationError(f"the key {path} has a password, which nobody types here; store it without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"{path} holds no private key in PEM; {_MAKE}") from None
    if isinstance(found, rsa.RSAPrivateKey) and found.key_size >= _LEAST_BITS:
        return SigningKey("RS384", RSAKey.import_key(content))
    if isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, ec.SECP384R1):
        return SigningKey("ES384", ECKey.import_key(content))
    raise ConfigurationError(
        f"the key {path} is neither RSA with {_LEAST_BITS} bits or more (RS384) nor on the curve P-384 (ES384); {_MAKE}"
    )


def signed(credential: Credential, *, now: float, jti: str) -> str:
    """The assertion, as a compact JWS. now: seconds since 1970. jti: never used before. Raises ConfigurationError."""
    assert credential.client_key is not None, "the configuration does not let it be absent"
    signing = read_key(credential.client_key)
    claims = {
        "iss": credential.client_id,
        "sub": credential.client_id,
        "aud": credential.client_audience or credential.token_url,
        "jti": jti,
        "iat": int(now),
        "exp": int(now) + LIFE,
    }
    header = {"alg": signing.algorithm, "kid": credential.client_key_id, "typ": "JWT"}
    return jwt.encode(header, claims, signing.key, algorithms=[signing.algorithm])


def _content(path: Path) -> bytes:
    """Raises ConfigurationError."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ConfigurationError(f"{path} is no file; client_key names the file of a private key")
        if about.st_mode & stat.S_IRWXO:
            raise ConfigurationError(
                f"the key {path} is open to every user of this machine, so it is not used: chmod 640 {path}; make a "
                "new one if others may have read it"
            )
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise ConfigurationError(f"the key {path} cannot be read ({error.strerror})") from None
