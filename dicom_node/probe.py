"""What a peer takes, asked without sending anything: each presentation context that we might need, and our advice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom.uid import UID
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from dicom_node.destinations import in_words
from dicom_node.errors import SendFailure
from dicom_node.kinds import Kind
from dicom_node.peer import PLAIN, Address, associated
from dicom_node.tables import Proof

BASIC_TEXT: Final = str(BasicTextSRStorage)
COMPREHENSIVE: Final = str(ComprehensiveSRStorage)
COMPREHENSIVE_3D: Final = str(Comprehensive3DSRStorage)
KEY_OBJECT: Final = str(KeyObjectSelectionDocumentStorage)
PDF: Final = str(EncapsulatedPDFStorage)
CAPTURE: Final = str(SecondaryCaptureImageStorage)
FIND: Final = str(StudyRootQueryRetrieveInformationModelFind)
MOVE: Final = str(StudyRootQueryRetrieveInformationModelMove)
GET: Final = str(StudyRootQueryRetrieveInformationModelGet)
ASKED: Final = (
    str(Verification),
    BASIC_TEXT,
    str(EnhancedSRStorage),
    COMPREHENSIVE,
    COMPREHENSIVE_3D,
    PDF,
    CAPTURE,
    KEY_OBJECT,
    FIND,
    MOVE,
    GET,
    str(StorageCommitmentPushModel),
)


@dataclass(frozen=True, slots=True)
class Probed:
    """What a peer accepted at that moment. `accepted`: SOP Class UID to the transfer syntaxes, those refused absent."""

    at: datetime
    accepted: Mapping[str, tuple[str, ...]]

    def takes(self, sop_class_uid: str) -> bool:
        """In any transfer syntax that we can write."""
        return bool(self.accepted.get(sop_class_uid))


@dataclass(frozen=True, slots=True)
class Advice:
    """What to send to a peer, and how to know that it arrived; each with its reason, a line for each."""

    objects: frozenset[Kind]
    proof: Proof
    reasons: tuple[str, ...]


def probe(address: Address, now: datetime) -> Probed:
    """Ask for every class in each little endian syntax. Raises SendFailure where no association comes about."""
    try:
        with associated(address, ASKED, apart=True) as opened:
            found: dict[str, list[str]] = {}
            for context in opened.association.accepted_contexts:
                found.setdefault(str(context.abstract_syntax), []).append(str(context.transfer_syntax[0]))
    except SendFailure as failure:
        if not failure.class_refused:
            raise
        found = {}
    order = [str(syntax) for syntax in PLAIN]
    return Probed(now, {uid: tuple(sorted(set(found[uid]), key=order.index)) for uid in ASKED if uid in found})


def advise(probed: Probed) -> Advice:
    """The smallest set that says everything once: one narrative, the codes beside it, and what takes it back."""
    objects: set[Kind] = set()
    reasons = []
    if probed.takes(BASIC_TEXT):
        objects.add(Kind.BASIC_TEXT)
        reasons.append("basic-text: it takes Basic Text SR, which most viewers show")
        reasons.append("no pdf, no sc: one narrative a study; add them where its viewers show no SR")
    elif probed.takes(PDF):
        objects.add(Kind.PDF)
        reasons.append("pdf: it refuses Basic Text SR and takes Encapsulated PDF, so the narrative goes as that")
    elif probed.takes(CAPTURE):
        objects.add(Kind.SC)
        reasons.append("sc: it refuses Basic Text SR and PDF, so the narrative goes as a picture")
    else:
        reasons.append("no narrative: it takes none of Basic Text SR, Encapsulated PDF and Secondary Capture")
    objects |= _codes(probed, reasons)
    if probed.takes(KEY_OBJECT):
        objects.add(Kind.KOS)
        reasons.append("kos: it takes Key Object Selection, by which drafts are taken back")
    else:
        reasons.append("no kos: it refuses Key Object Selection; rejected drafts must be removed there by hand")
    proof = Proof.QUERY if probed.takes(FIND) else Proof.ACKNOWLEDGEMENT
    why = "it can be asked by C-FIND" if probed.takes(FIND) else "it refuses C-FIND, so its C-STORE answer must do"
    reasons.append(f"proof {proof}: {why}")
    return Advice(frozenset(objects), proof, tuple(reasons))


def _codes(probed: Probed, reasons: list[str]) -> set[Kind]:
    if probed.takes(COMPREHENSIVE_3D):
        reasons.append("tid1500: it takes Comprehensive 3D SR, coded findings for machines")
        return {Kind.TID1500}
    if probed.takes(COMPREHENSIVE):
        reasons.append("tid1500: it refuses Comprehensive 3D SR; the same goes as Comprehensive SR, which it takes")
        return {Kind.TID1500}
    reasons.append("no tid1500: it refuses Comprehensive 3D SR and Comprehensive SR")
    return set()


def stored(probed: Probed) -> str:
    """As it stands in the database, with the advice, which is what applies where nobody chose objects."""
    advice = advise(probed)
    return json.dumps(
        {
            "at": probed.at.isoformat(),
            "accepted": {uid: list(syntaxes) for uid, syntaxes in probed.accepted.items()},
            "objects": [word for word in in_words(advice.objects).split(",") if word],
            "proof": advice.proof.value,
        }
    )


def name_of(uid: str) -> str:
    """A class or transfer syntax in words."""
    return UID(uid).name
