"""What a FHIR server's answer says of reports that were signed: of which study and order, and of whom.

Everything in an answer may be anything: what is not as FHIR R4 has it is left out, and no text of a report is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from dicom_node.errors import WetreadError
from dicom_node.uids import is_uid
from reports.messages.identity import DICOM_UID

STATUSES: Final = ("final", "amended", "corrected", "appended")

# DiagnosticReport.category: table 0074 as in HL7 (OBR-24), LOINC and SNOMED CT for radiology, and FHIR's own word.
_RADIOLOGY: Final = frozenset({"RAD", "RX", "XRC", "XR", "CXR", "CR", "DX", "DR", "DI", "IMG"})
_RADIOLOGY_CODES: Final = frozenset({*_RADIOLOGY, "LP29684-5", "394914008", "363679005", "IMAGING"})
_ORDERS: Final = ("ACSN", "FILL", "PLAC")  # table 0203, the strongest first
_REFERENCE: Final = re.compile(r"(ImagingStudy|Patient|ServiceRequest)/[A-Za-z0-9.-]{1,64}")
_LONGEST: Final = 255  # characters of an identifier
_MOST: Final = 20  # identifiers, references or links of one kind that are looked at

Json = Mapping[str, Any]


class NotFhir(WetreadError):
    """An answer is nothing that can be read as FHIR R4. The sentence holds no value of it."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """Value and system; kind is a code of table 0203. All but the value may be empty."""

    system: str
    value: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class FinalReport:
    """One signed DiagnosticReport. key: the same for the same version of it at the same server.

    studies: Study Instance UIDs. orders: accession, filler and placer numbers. to_read: references whose resources say
    more, such as `Patient/17`.
    """

    key: str
    changed: datetime | None
    is_radiology: bool
    own: tuple[Identifier, ...]
    studies: tuple[str, ...]
    orders: tuple[Identifier, ...]
    patients: tuple[Identifier, ...]
    to_read: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. included: its other resources, by `Type/id`. following: link to the next page, or empty."""

    reports: tuple[FinalReport, ...]
    included: Mapping[str, Json]
    following: str

    @property
    def stamps(self) -> tuple[datetime, ...]:
        """Last Updated of its reports, in the order of the page; empty where one has none."""
        found = tuple(one.changed for one in self.reports if one.changed is not None)
        return found if len(found) == len(self.reports) else ()


def read_page(body: bytes, base: str) -> Page:
    """Read a searchset Bundle. base: URL of the server. Raises NotFhir."""
    bundle = read_resource(body)
    if bundle.get("resourceType") != "Bundle":
        raise NotFhir("it answered the search with something else than a Bundle")
    resources = _objects([one.get("resource") for one in _objects(bundle.get("entry"), most=None)], most=None)
    reports = (_report(one, base) for one in resources if one.get("resourceType") == "DiagnosticReport")
    included = {
        f"{one.get('resourceType')}/{one.get('id')}": one
        for one in resources
        if one.get("resourceType") != "DiagnosticReport"
    }
    links = [_text(one.get("url"), 4096) for one in _objects(bundle.get("link")) if one.get("relation") == "next"]
    signed = tuple(one for one in reports if one is not None)
    return Page(signed, MappingProxyType(included), next(iter(links), ""))


def read_resource(body: bytes) -> Json:
    """Read one JSON object. Raises NotFhir."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise NotFhir("it answered with something that is no JSON") from None
    if not isinstance(found, dict):
        raise NotFhir("it answered with JSON that is no resource")
    return found


def told_more(report: FinalReport, resource: Json) -> FinalReport:
    """Add what a referenced ImagingStudy, ServiceRequest or Patient says; anything else adds nothing."""
    kind, identifiers = resource.get("resourceType"), tuple(_identifiers(resource.get("identifier")))
    if kind == "Patient":
        return replace(report, patients=(*report.patients, *identifiers))
    if kind not in ("ImagingStudy", "ServiceRequest"):  # no set: it may be a list, which none takes
        return report
    studies = _uids(identifiers) if kind == "ImagingStudy" else ()
    requisition = tuple(_identifiers([resource.get("requisition")]))
    orders = [one for one in (*identifiers, *requisition) if one.system != DICOM_UID]
    return replace(report, studies=(*report.studies, *studies), orders=(*report.orders, *orders))


def order_numbers(orders: tuple[Identifier, ...], system: str) -> tuple[str, ...]:
    """The accession numbers; where there is none, the filler or the placer numbers.

    system: of accession and order numbers at this site; one of another system is none of ours. Without it every number
    that says what it is counts. One that does not say it counts where its system does.
    """
    ours = [one for one in orders if not system or one.system in {"", system}]
    for kind in _ORDERS:
        if found := [one.value for one in ours if one.kind == kind]:
            return tuple(dict.fromkeys(found))
    return tuple(dict.fromkeys(one.value for one in ours if system and one.system == system and not one.kind))


def _report(resource: Json, base: str) -> FinalReport | None:
    number, status = _text(resource.get("id")), resource.get("status")
    if not number or status not in STATUSES:
        return None
    meta = resource.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    own = tuple(_identifiers(resource.get("identifier")))
    report = FinalReport(
        key="\n".join((number, _text(meta.get("versionId")), _text(meta.get("lastUpdated")), status)),
        changed=_moment(meta.get("lastUpdated")),
        is_radiology=_is_radiology(resource.get("category")),
        own=own,
        studies=(),
        orders=tuple(one for one in own if one.kind == "ACSN"),
        patients=(),
        to_read=(),
    )
    contained = {f"#{_text(one.get('id'))}": one for one in _objects(resource.get("contained"))}
    for reference in _references(resource):
        report = _follow(report, reference, contained, base)
    return report


def _references(resource: Json) -> Iterator[Json]:
    """To the study, the orders and the patient, each with its kind in `type` where the element says it."""
    for kind, name in (("ImagingStudy", "imagingStudy"), ("ServiceRequest", "basedOn"), ("Patient", "subject")):
        value = resource.get(name)
        for one in _objects(value if isinstance(value, list) else [value]):
            yield {**one, "type": kind}


def _follow(report: FinalReport, reference: Json, contained: Mapping[str, Json], base: str) -> FinalReport:
    """What a reference says by itself, and what is to be read for the rest."""
    named = {"resourceType": reference["type"], "identifier": [reference.get("identifier")]}
    report = told_more(report, named)
    where = _text(reference.get("reference"), 2048)
    if where.startswith("#"):
        found = contained.get(where, {})
        return told_more(report, found) if found.get("resourceType") == reference["type"] else report
    place = where.removeprefix(f"{base.rstrip('/')}/").split("/_history/")[0]
    if not _REFERENCE.fullmatch(place) or not place.startswith(f"{reference['type']}/"):
        return report
    return replace(report, to_read=(*report.to_read, place))


def _is_radiology(categories: object) -> bool:
    """By its coded categories; a report without any is taken for radiology, as an empty OBR-24 is."""
    codings = [code for one in _objects(categories) for code in _objects(one.get("coding"))]
    codes = {_text(one.get("code")).upper() for one in codings} - {""}
    return not codes or bool(codes & _RADIOLOGY_CODES)


def _uids(identifiers: tuple[Identifier, ...]) -> tuple[str, ...]:
    """UIDs of DICOM objects, without `urn:oid:`."""
    uids = (one.value.removeprefix("urn:oid:") for one in identifiers if one.system == DICOM_UID)
    return tuple(uid for uid in uids if is_uid(uid))


def _identifiers(value: object) -> Iterator[Identifier]:
    for one in _objects(value):
        if number := _text(one.get("value")).strip():
            kind = one.get("type")
            codes = _objects(kind.get("coding")) if isinstance(kind, dict) else []
            known = (code for code in (_text(code.get("code")) for code in codes) if code in _ORDERS)
            yield Identifier(_text(one.get("system")).strip(), number, next(known, ""))


def _objects(value: object, most: int | None = _MOST) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, dict)][:most]


def _text(value: object, longest: int = _LONGEST) -> str:
    """A text that a database takes, and a log could show; empty for anything else."""
    return value if isinstance(value, str) and len(value) <= longest and value.isprintable() else ""


def _moment(value: object) -> datetime | None:
    """An instant: aware, or None."""
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
