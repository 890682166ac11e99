"""MLLP inside TLS, as IHE ATNA asks for it: the contexts of `dicom_node.tls`, with the files of [hl7]."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from dicom_node import tls
from dicom_node.errors import ConfigurationError
from reports.config import Hl7Config

SCHEME: Final = "mllps"


def server_context(hl7: Hl7Config) -> ssl.SSLContext | None:
    """How our port speaks; None: without TLS. A client needs a certificate by `hl7.tls_ca` unless that is not wanted.

    Raises ConfigurationError: a file is missing or is no such thing, or client certificates without a CA.
    """
    if hl7.tls_certificate is None:
        return None
    with _named_as_here():
        return tls.server_context(_files(hl7), require_client=hl7.tls_require_client_certificate)


def client_context(hl7: Hl7Config) -> ssl.SSLContext:
    """How we speak to mllps:// destinations: verified by `hl7.tls_ca`, else by what the machine trusts.

    Raises ConfigurationError.
    """
    with _named_as_here():
        return tls.client_context(_files(hl7))


def explain(error: OSError, *, host: str = "") -> str:
    """Why a handshake failed, as the end of a sentence about the other side."""
    return _renamed(tls.explain(error, name=host)).partition(", or name what it carries")[0]


def _files(hl7: Hl7Config) -> tls.Files:
    return tls.Files(hl7.tls_certificate, hl7.tls_key, hl7.tls_ca)


@contextmanager
def _named_as_here() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(_renamed(str(error))) from error


def _renamed(words: str) -> str:
    """The same settings stand in [node] for DICOM."""
    return re.sub(r"\bnode\.(?=tls_)", "hl7.", words)
