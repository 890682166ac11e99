"""The ways out, wired: each protocol with its transport, and a harmless question to try one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial
from types import MappingProxyType

from agent.config import Config
from dicom_node import peer
from dicom_node.commitment_proof import CommitmentProof
from dicom_node.database import Database
from dicom_node.dicomweb import StowTransport
from dicom_node.dimse import DimseTransport
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.hosts import with_port
from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Way
from dicom_node.transports import Destination, Parcel, Transport
from dicom_node.uids import derived_uid
from reports.hl7 import mllp
from reports.hl7.tls import client_context, explain
from reports.rest.authority import Authority
from reports.rest.calls import Caller
from reports.rest.fhir import FhirTransport
from reports.rest.webhook import WebhookTransport

_CONNECT_SECONDS = 10.0
_REFUSES_US = frozenset({401, 403, 404, 407})


@contextmanager
def open_transports(config: Config) -> Iterator[Mapping[Way, Transport]]:
    """All transports, for as long as `send` runs."""
    patience = config.node.dimse_timeout_seconds
    connect = min(_CONNECT_SECONDS, patience)
    credentials = config.delivery.credentials
    dimse = DimseTransport(
        config.node.ae_title, connect_seconds=connect, answer_seconds=patience, tls=config.node.tls_files
    )
    stow = StowTransport(credentials, connect_seconds=connect, answer_seconds=patience)
    with Caller(seconds=patience) as caller:
        try:
            yield MappingProxyType(
                {
                    Way.DIMSE: dimse,
                    Way.STOW: stow,
                    Way.MLLP: mllp.MllpTransport(connect, patience, tls=cache(partial(client_context, config.hl7))),
                    Way.FHIR: FhirTransport(caller, credentials),
                    Way.WEBHOOK: WebhookTransport(caller, credentials),
                }
            )
        finally:
            dimse.close()
            stow.close()


@contextmanager
def open_commitment(config: Config, database: Database, new_token: Callable[[], str]) -> Iterator[CommitmentProof]:
    """Proof by storage commitment, for as long as `send` runs."""
    node = config.node
    addresses = DimseTransport(
        node.ae_title,
        connect_seconds=min(_CONNECT_SECONDS, node.dimse_timeout_seconds),
        answer_seconds=node.dimse_timeout_seconds,
        tls=node.tls_files,
    )
    commitment = CommitmentProof(database, addresses, new_token, patience=timedelta(seconds=node.commitment_seconds))
    try:
        yield commitment
    finally:
        commitment.close()


def try_out(config: Config, to: Destination) -> str:
    """Reach a destination without sending anything of a patient; returns what it did. Raises SendFailure."""
    patience = config.node.dimse_timeout_seconds
    if to.way is Way.DIMSE:
        peer.echo(peer.address_of(to, config.node))
        return "answers C-ECHO; what it takes: wetread ae probe"
    if to.way is Way.MLLP:
        return _connect(config, to)
    if to.way is Way.STOW:
        with open_transports(config) as transports:
            transports[Way.STOW].holds(_nothing(to))
        return "answers a search (QIDO-RS)"
    return _call(config, to, patience)


def _connect(config: Config, to: Destination) -> str:
    where = f"{to.name} ({with_port(to.host, to.port)})"
    try:
        mllp.connect(to, seconds=_CONNECT_SECONDS, tls=partial(client_context, config.hl7)).close()
    except ssl.SSLError as error:
        raise SendFailure(f"{where}: {explain(error, host=to.host)}", unreachable=True) from error
    except ConfigurationError as error:
        raise SendFailure(f"{where}: {error}") from error
    except OSError as error:
        raise SendFailure(f"{where} cannot be reached ({type(error).__name__})", unreachable=True) from error
    return "takes connections; whether it takes messages only a message shows"


def _call(config: Config, to: Destination, seconds: float) -> str:
    """FHIR: its capability statement. Webhook: any answer that does not turn us away."""
    is_fhir = to.way is Way.FHIR
    method, url = ("GET", f"{to.url}/metadata") if is_fhir else ("OPTIONS", to.url)
    with Caller(seconds=seconds) as caller:
        call = Authority(config.delivery.credentials, caller).call if is_fhir else caller.call
        answer = call(to, method, url, headers={})
    if answer.status in _REFUSES_US or answer.status >= 500 or (is_fhir and not answer.is_success):
        raise SendFailure(f"{to.name} answered HTTP {answer.status} to {method}")
    return f"answers HTTP {answer.status}"


def _nothing(to: Destination) -> Parcel:
    """A parcel to ask for that nobody has."""
    uid = derived_uid(to.name, "1", "trial")
    return Parcel(to, b"", Kind.BASIC_TEXT, Stage.DRAFT, "", uid, uid)
