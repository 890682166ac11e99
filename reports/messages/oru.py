"""HL7 v2.5.1 ORU^R01: the report for systems that take no DICOM. deploy/docs/messages.md has the table of its fields.

A draft is `R`, never `P`: table 0123 reads P as verified early results, and archives make a verified report of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_node.kinds import Kind, Stage
from reports import codes
from reports.config import ReportsConfig
from reports.findings import Finding
from reports.hl7.er7 import SEPARATORS, UTF_8, components, escape, moment, segment
from reports.messages.identity import as_hl7_names_it
from reports.messages.subject import (
    Name,
    Subject,
    message_uid,
    names,
    one_per_code,
    read_subject,
    replaces_a_final,
    short_id,
)
from reports.objects import tree
from reports.objects.content import Content, Verification, read_content
from reports.objects.frame import local
from reports.provenance import NOTICE

UNVERIFIED: Final = "R"  # results stored, not yet verified
VERIFIED: Final = "F"
CORRECTED: Final = "C"  # also what was final and is withdrawn
DELETED: Final = "D"  # OBX-11 only: take the draft out
WRONG: Final = "W"  # OBX-11 only: post the original as wrong
IDENTIFIER: Final = "O"  # OBX-11 only: describes the order, is no result

STUDY: Final = Code("113014", "DCM", "DICOM Study")
# Of our own: archives that find "SR Instance UID" make a second object with the UID of the one that we stored.
DOCUMENT: Final = Code("SOPUID", codes.SCHEME, "SOP Instance UID of the DICOM report")
WITHDRAWN: Final = "WITHDRAWN"
_TAKEN_BACK: Final = MappingProxyType(
    {
        Stage.REJECTION: "This AI draft was taken back. Do not use it.",
        Stage.WITHDRAWAL: "This report was taken back for the patient's safety. Do not use it.",
    }
)


@dataclass(frozen=True, slots=True)
class Parties:
    """MSH-3 to MSH-6, MSH-11. filler_from_accession: fill an absent OBR-3, for systems that match by nothing else.

    authorities: assigning authority, as HL7 names it, to Issuer of Patient ID, as the images do.
    """

    sending_application: str = "WETREAD"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    processing: str = "P"
    filler_from_accession: bool = False
    authorities: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class _Said:
    """One OBX. number: OBX-4, empty where the name alone says which."""

    value_type: str
    name: Code
    value: str
    status: str
    number: str = ""


def build_oru(
    master: Dataset,
    parties: Parties,
    config: ReportsConfig,
    *,
    findings: Sequence[Finding] = (),
    formerly: Sequence[Finding] = (),
    replaced: Sequence[Dataset] = (),
) -> bytes:
    """Write the report's message.

    findings: one coded OBX each. formerly: those of the message that the receiver has now. replaced: the narratives
    whose messages it has, or may have. What is no longer said is deleted, for systems that keep OBX by their
    identifiers: the notice of a draft must not stand beside the words that a radiologist signed.

    Raises NotOurs: a document is no narrative of ours.
    """
    content = read_content(master)
    subject = read_subject(master, config)
    status = result_status(master, content.stage)
    texts = list(_narrative(content, status))
    said = [
        *texts,
        *_unsaid(replaced, but=texts),
        *_coded(findings, status),
        *_uncoded(formerly, DELETED, but=findings),
        *_identifiers(subject),
    ]
    uid = message_uid(subject.sop_instance_uid, Kind.ORU, content.stage)
    return _message(subject, parties, uid, status, said, subject.written, content.verified_by)


def build_oru_withdrawal(
    master: Dataset,
    stage: Stage,
    reason: str,
    at: datetime,
    parties: Parties,
    config: ReportsConfig,
    *,
    findings: Sequence[Finding] = (),
) -> bytes:
    """Write the message that takes a report back.

    stage: REJECTION for a draft that was rejected, replaced or expired; WITHDRAWAL for the patient's safety.
    reason: a sentence for people. at: aware; when it was taken back. findings: those that its message said.

    Raises NotOurs; ValueError: another stage, a naive moment.
    """
    if stage not in _TAKEN_BACK:
        raise ValueError("only a rejection or a withdrawal takes a report back")
    content = read_content(master)
    subject = read_subject(master, config)
    status = UNVERIFIED if result_status(master, content.stage) == UNVERIFIED else CORRECTED
    gone = WRONG if stage is Stage.WITHDRAWAL else DELETED
    words = f"{WITHDRAWN}: {_TAKEN_BACK[stage]}\n{reason}"
    said = [
        _Said("TX", tree.SUMMARY, escape(words), status),
        *(
            _Said("TX", item.name, WITHDRAWN, gone, item.number)
            for item in _narrative(content, status)
            if item.name != tree.SUMMARY
        ),
        *_uncoded(findings, gone),
        *_identifiers(subject),
    ]
    uid = message_uid(subject.sop_instance_uid, Kind.ORU, stage)
    return _message(subject, parties, uid, status, said, local(at, master, config), ())


def result_status(master: Dataset, stage: Stage) -> str:
    """OBR-25 (table 0123). A notice is `R` too: `X` would cancel the order."""
    if stage in {Stage.DRAFT, Stage.NOTICE}:
        return UNVERIFIED
    return CORRECTED if replaces_a_final(master, stage) else VERIFIED


def _narrative(content: Content, status: str) -> Iterator[_Said]:
    """The texts. In a draft each begins with the notice: interfaces put single OBX into fields of their own."""
    above = f"{NOTICE}\n" if content.stage is Stage.DRAFT else ""
    if content.warning:
        yield _Said("TX", tree.SUMMARY, escape(content.warning), status)
    if content.findings:
        yield _Said("TX", tree.FINDINGS, escape(above + content.findings), status)
    if content.impression:
        yield _Said("TX", tree.IMPRESSIONS, escape(above + content.impression), status)
    for number, words in enumerate(content.addenda, start=1):
        yield _Said("TX", tree.ADDENDUM, escape(words), status, str(number))
    if content.making:
        yield _Said("TX", tree.PROCEDURE_DESCRIPTIONS, escape(content.making), status)


def _unsaid(replaced: Sequence[Dataset], *, but: Sequence[_Said]) -> Iterator[_Said]:
    """Take back each text of former messages that the new one has no words for."""
    kept = {(one.name, one.number) for one in but}
    for document in replaced:
        for one in _narrative(read_content(document), DELETED):
            if (one.name, one.number) not in kept:
                kept.add((one.name, one.number))
                yield _Said("TX", one.name, WITHDRAWN, DELETED, one.number)


def _coded(findings: Sequence[Finding], status: str) -> Iterator[_Said]:
    for one in one_per_code(findings):
        yield _Said("CE", codes.ROW_OF[one.label].code, _ce(codes.STATES[one.state]), status)


def _uncoded(findings: Sequence[Finding], gone: str, *, but: Sequence[Finding] = ()) -> Iterator[_Said]:
    """Take back each finding that is not among `but`. The value is a CE without a code."""
    kept = {codes.ROW_OF[one.label].code for one in but}
    for one in one_per_code(findings):
        if codes.ROW_OF[one.label].code not in kept:
            yield _Said("CE", codes.ROW_OF[one.label].code, f"^{WITHDRAWN}", gone)


def _identifiers(subject: Subject) -> Iterator[_Said]:
    yield _Said("ST", STUDY, subject.study_instance_uid, IDENTIFIER)
    yield _Said("ST", DOCUMENT, subject.sop_instance_uid, IDENTIFIER)


def _message(
    subject: Subject,
    parties: Parties,
    uid: str,
    status: str,
    said: Sequence[_Said],
    at: datetime,
    verified_by: Sequence[Verification],
) -> bytes:
    segments = [
        _msh(parties, uid, at),
        _pid(subject, parties),
        segment("ORC", ("RE", *_numbers(subject, parties))),
        _obr(subject, parties, status, at, verified_by),
        *(_obx(number, item) for number, item in enumerate(said, start=1)),
    ]
    return "".join(segments).encode("utf-8")


def _msh(parties: Parties, uid: str, at: datetime) -> str:
    who = (
        parties.sending_application,
        parties.sending_facility,
        parties.receiving_application,
        parties.receiving_facility,
    )
    named = [escape(one) for one in who]
    kind = "ORU^R01^ORU_R01"
    control = short_id(uid)
    return segment(
        "MSH",
        (SEPARATORS, *named, moment(at), "", kind, control, parties.processing, "2.5.1", "", "", "", "", "", UTF_8),
    )


def _pid(subject: Subject, parties: Parties) -> str:
    patient = as_hl7_names_it(subject.patient, parties.authorities)
    issuer = components(*map(escape, (patient.issuer, patient.universal, patient.kind)), separator="&")
    identifier = components(escape(patient.value), "", "", issuer)
    called = "~".join(_xpn(name) for name in subject.names)
    return segment("PID", ("1", "", identifier, "", called, "", subject.birth_date, subject.sex))


def _obr(subject: Subject, parties: Parties, status: str, at: datetime, verified_by: Sequence[Verification]) -> str:
    order = subject.order
    fields = [""] * 33
    fields[0] = "1"
    fields[1:3] = _numbers(subject, parties)
    fields[3] = _ce(order.procedure)
    fields[6] = _study_moment(subject)
    fields[15] = "~".join(components("", *_parts(name)) for name in subject.referrer[:1])
    fields[17] = escape(order.accession)
    fields[18] = escape(order.procedure_id)
    fields[21] = moment(at)
    fields[23] = "RAD"
    fields[24] = status
    if verified_by:
        *others, last = verified_by
        fields[31] = _ndl(last)
        fields[32] = "~".join(_ndl(one) for one in others)
    return segment("OBR", fields)


def _obx(number: int, said: _Said) -> str:
    return segment(
        "OBX", (str(number), said.value_type, _ce(said.name), said.number, said.value, "", "", "", "", "", said.status)
    )


def _numbers(subject: Subject, parties: Parties) -> tuple[str, str]:
    order = subject.order
    filler = order.filler or (order.accession if parties.filler_from_accession else "")
    return escape(order.placer), escape(filler)


def _ce(code: Code) -> str:
    return components(escape(code.value), escape(code.meaning), escape(code.scheme_designator))


def _parts(name: Name) -> tuple[str, ...]:
    """Family, given, further, suffix, prefix: HL7 has the last two the other way round than DICOM."""
    parts = (name.family, name.given, name.middle, name.suffix, name.prefix)
    return tuple(escape(part) for part in parts)


def _xpn(name: Name) -> str:
    return components(*_parts(name), "", "L", name.representation)


def _ndl(verification: Verification) -> str:
    """Who interpreted it and when: family and given name are subcomponents of the first component."""
    called = names(verification.name)
    who = components("", *_parts(called[0]), separator="&") if called else ""
    return components(who, verification.at)


def _study_moment(subject: Subject) -> str:
    """Study Date and Time to the second, with the offset that the images name and no other."""
    date, time = subject.study_date, subject.study_time.split(".")[0]
    return date + (time + subject.offset if time else "") if date else ""
