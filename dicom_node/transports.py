"""How objects leave: one protocol for C-STORE, STOW-RS, MLLP, FHIR and webhook; `send` is handed the transports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dicom_node.kinds import Kind, Stage
from dicom_node.tables import Mode, Proof, Retrieve, Way
from dicom_node.terms import AS_THE_NODE, Terms

__all__ = ["Destination", "Film", "Films", "Heard", "Parcel", "Transport", "Way"]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where objects go. `name` is unique over all ways; for DIMSE it is the AE title.

    host, port: for DIMSE and MLLP. url: base URL for STOW, FHIR and webhook.
    credential: name of the secret in the configuration that authorizes us there; empty for none.
    """

    name: str
    way: Way
    host: str
    port: int
    url: str
    mode: Mode
    proof: Proof
    objects: frozenset[Kind]
    notices: bool = False  # gets "No AI draft: <reason>" for studies that were excluded or failed
    credential: str = ""
    own_ae_title: str = ""  # for DIMSE: what we call ourselves there; empty: our first
    identity_check: bool = False  # for DIMSE and STOW: ask whose study it is, before sending and after
    tls: bool = False  # for DIMSE
    tls_name: str = ""  # in its certificate; empty: its host
    terms: Terms = AS_THE_NODE  # for DIMSE: patience and PDU of its own
    retrieve: Retrieve = Retrieve.MOVE  # for DIMSE: how films that never came are brought here


Heard = Callable[[bool], int]
"""Is told whether an answer named the study; how many in a row have not, after one had: 0 where none ever did."""


def remembers_nothing(_named: bool) -> int:
    """For whoever sends without books."""
    return 0


@dataclass(frozen=True, slots=True)
class Film:
    """An image of ours, by what a question at IMAGE level asks for (PS3.4 C.6.2.1)."""

    instance_id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


class Films(Protocol):
    """What one destination has of one study; see `worklist.known_films`."""

    def among(self, uids: Iterable[str]) -> Sequence[Film]:
        """Our images with these SOP Instance UIDs."""

    def answered(self, film: Film, *, there: bool) -> int:
        """Book an answer; how many in a row have been without the film, 0 where the destination never named it."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One object for one destination. payload: a Part 10 file, an HL7 message in UTF-8, or JSON.

    heard: to be told of every answer in which the destination could have named the study. films: the same of its films.
    """

    destination: Destination
    payload: bytes
    kind: Kind
    stage: Stage
    sop_class_uid: str  # empty for what is no DICOM object
    sop_instance_uid: str  # for a message: its derived UID
    study_instance_uid: str
    heard: Heard = remembers_nothing
    films: Films | None = None


class Transport(Protocol):
    """Sends parcels one way. Implementations may be called by several threads at once."""

    def send(self, parcel: Parcel) -> str:
        """Hand the parcel over; returns the answer in a word for the log (`0000`, `200`, `AA`).

        Raises SendFailure; permanent where the same bytes can never be taken.
        """

    def holds(self, parcel: Parcel) -> bool:
        """Ask whether the destination has it; True where its acknowledgement is all the proof there is.

        Raises SendFailure.
        """
