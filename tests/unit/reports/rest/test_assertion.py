"""What a token server is told by a client with a key, and which keys are refused. Signatures are verified by hand."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from pydantic import ValidationError
from structlog.testing import capture_logs

from agent import client_keys
from agent.config import Config, DeliveryConfig
from dicom_node.credentials import Credential
from dicom_node.errors import ConfigurationError
from reports.rest.assertion import read_key, signed
from tests.harness.keys import ec_key, rsa_key

NOW = 1_795_000_000.75
TOKEN_URL = "https://login.example.org/token"


def client(key: Path | str, **changes: object) -> Credential:
    values = {
        "token_url": TOKEN_URL,
        "client_id": "wetread",
        "client_auth": "private_key_jwt",
        "client_key": key,
        "client_key_id": "2026-11",
    }
    return Credential.model_validate({**values, **changes})


def parts(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what was signed, signature."""
    header, claims, signature = (
        base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in assertion.split(".")
    )
    return json.loads(header), json.loads(claims), assertion.rpartition(".")[0].encode(), signature


def is_by(key: Path, text: bytes, signature: bytes) -> None:
    """Raises InvalidSignature. RFC 7518 3.3 and 3.4."""
    private = load_pem_private_key(key.read_bytes(), None)
    if isinstance(private, rsa.RSAPrivateKey):
        private.public_key().verify(signature, text, padding.PKCS1v15(), SHA384())
        return
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert len(signature) == 96
    both = encode_dss_signature(int.from_bytes(signature[:48]), int.from_bytes(signature[48:]))
    private.public_key().verify(both, text, ec.ECDSA(SHA384()))


@pytest.mark.parametrize(("make", "algorithm"), [(rsa_key, "RS384"), (ec_key, "ES384")])
def test_the_assertion_says_who_we_are_for_a_few_minutes(
    tmp_path: Path, make: Callable[[Path], Path], algorithm: str
) -> None:
    key = make(tmp_path / "key.pem")

    header, claims, text, signature = parts(signed(client(key), now=NOW, jti="n0nce"))

    assert header == {"alg": algorithm, "kid": "2026-11", "typ": "JWT"}
    assert claims == {
        "iss": "wetread",
        "sub": "wetread",
        "aud": TOKEN_URL,
        "jti": "n0nce",
        "iat": 1_795_000_000,
        "exp": 1_795_000_240,
    }
    assert claims["exp"] - NOW <= 300
    is_by(key, text, signature)


def test_it_may_be_for_an_issuer_instead_of_its_address(tmp_path: Path) -> None:
    credential = client(ec_key(tmp_path / "key.pem"), client_audience="https://login.example.org")
    assert parts(signed(credential, now=NOW, jti="1"))[1]["aud"] == "https://login.example.org"


def public(file: Path) -> Path:
    private = load_pem_private_key(ec_key(file).read_bytes(), None)
    file.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def nonsense(file: Path) -> Path:
    file.touch(mode=0o600)
    file.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    return file


def folder(file: Path) -> Path:
    file.mkdir()
    return file


def pipe(file: Path) -> Path:
    """Whoever opened it would wait for ever."""
    os.mkfifo(file, 0o600)
    return file


def for_everybody(file: Path) -> Path:
    ec_key(file).chmod(0o644)
    return file


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: file, "the key {0} cannot be read (No such file or directory)"),
        (folder, "{0} is no file; client_key names the file of a private key"),
        (pipe, "{0} is no file; client_key names the file of a private key"),
        (for_everybody, "the key {0} is open to every user of this machine, so it is not used: chmod 640 {0}"),
        (nonsense, "{0} holds no private key in PEM; make one: openssl ecparam"),
        (public, "{0} holds no private key in PEM; make one: openssl ecparam"),
        (lambda file: rsa_key(file, password=b"s3cret"), "the key {0} has a password"),
        (lambda file: ec_key(file, ec.SECP256R1()), "the key {0} is neither RSA with 2048 bits or more (RS384) nor on"),
        (lambda file: rsa_key(file, bits=1024), "the key {0} is neither RSA with 2048 bits or more (RS384) nor on"),
    ],
    ids=["absent", "folder", "pipe", "for everybody", "nonsense", "public", "password", "curve", "bits"],
)
def test_key_that_cannot_sign_is_named_in_words(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    file = make(tmp_path / "key.pem")
    with pytest.raises(ConfigurationError) as refused:
        read_key(file)
    assert str(refused.value).startswith(words.format(file))

    config = Config(delivery=DeliveryConfig(credentials={"ehr": client(file)}))
    with capture_logs() as log:
        client_keys.tell(config)
    assert log == [
        {
            "event": "client_key_unusable",
            "log_level": "error",
            "setting": "delivery.credentials.ehr.client_key",
            "explanation": str(refused.value),
        }
    ]


def test_sound_keys_and_other_credentials_are_passed_over_at_the_start(tmp_path: Path) -> None:
    others = {"ehr": client(ec_key(tmp_path / "key.pem")), "web": Credential.model_validate({"token": "t"})}
    with capture_logs() as log:
        client_keys.tell(Config(delivery=DeliveryConfig(credentials=others)))
    assert log == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_key": None}, "needs token_url, client_id, client_key"),
        ({"client_key_id": ""}, "needs token_url, client_id, client_key"),
        ({"client_id": ""}, "needs token_url, client_id, client_key"),
        ({"token_url": "", "token": "t"}, "needs token_url, client_id, client_key"),
        ({"client_secret": "s3cret"}, "has no client_secret"),
        ({"client_auth": "basic"}, "token_url needs client_id and client_secret"),
        ({"client_auth": "body", "client_secret": "s3cret"}, 'need client_auth = "private_key_jwt"'),
        ({"token_url": "http://login.example.org/token"}, "must be https"),
    ],
)
def test_half_a_client_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        client("/etc/wetread/ehr.pem", **changes)
