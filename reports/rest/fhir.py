"""FHIR REST out: a transaction bundle to the base URL of a server, and the question whether it has the report."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypeGuard

from dicom_node.credentials import Credential
from dicom_node.errors import SendFailure
from dicom_node.transports import Destination, Parcel
from reports.messages.identity import DICOM_UID, search
from reports.rest.authority import Authority
from reports.rest.calls import Answer, Caller, code_word, refuse
from reports.rest.final_reports import STATUSES

_TYPE: Final = "application/fhir+json"
_LARGEST: Final = 16 << 20  # bytes: a server that does not know _elements sends whole reports, with their PDFs
_ASSERTED: Final = "AIAST"  # the security label of everything that no person has signed here


class FhirTransport:
    """Sends bundles. credentials: by the name that a destination has for its own."""

    def __init__(self, caller: Caller, credentials: Mapping[str, Credential]) -> None:
        self._authority = Authority(credentials, caller)

    def send(self, parcel: Parcel) -> str:
        """Post one transaction; returns the HTTP status.

        What no person has signed here never replaces a report that is final there: it is read first, and only the
        version that was read is replaced.

        Raises SendFailure as `refuse` has it; permanent for a transaction that was not taken whole, and where the
        report is final there.
        """
        destination = parcel.destination
        payload = self._bound(parcel)
        headers = {"Accept": _TYPE, "Content-Type": f"{_TYPE}; charset=utf-8"}
        url = destination.url.rstrip("/")
        answer = self._authority.call(destination, "POST", url, headers=headers, content=payload)
        if answer.status == HTTPStatus.PRECONDITION_FAILED and self._bound(parcel) != payload:
            raise SendFailure(f"{destination.name} has changed the report meanwhile; it is sent again")
        if not answer.is_success:
            raise refuse(destination, answer, _outcome(answer))
        refused = _refused_entries(answer)
        if refused:
            raise SendFailure(
                f"{destination.name} took the transaction but not {refused} of its entries; it is no FHIR R4 server "
                "that keeps transactions whole",
                permanent=True,
            )
        return str(answer.status)

    def holds(self, parcel: Parcel) -> bool:
        """Look the report up by its identifier: the same status, and the document that this bundle was made from.

        Raises SendFailure.
        """
        report = _report_of(parcel.payload)
        return any(_is_same(report, one) for one in self._found(parcel.destination, report))

    def _bound(self, parcel: Parcel) -> bytes:
        """The bundle, for the very version of the report that is there. Raises SendFailure, permanent: it is final."""
        report = _report_of(parcel.payload)
        if not _is_unsigned(report):
            return parcel.payload
        name = parcel.destination.name
        try:
            there = [one for one in self._found(parcel.destination, report) if _has_the_name_of(report, one)]
        except SendFailure as failure:
            failure.may_be_there = False  # nothing has left yet
            raise
        if any(one.get("status") in STATUSES for one in there):
            raise SendFailure(
                f"{name} has a final report where ours is to be replaced: a person has signed it there, and it stays "
                "as it is; look at it there, and remove by hand what is wrong",
                permanent=True,
            )
        return _for_version(parcel.payload, there[0]) if len(there) == 1 else parcel.payload

    def _found(self, to: Destination, report: dict[str, Any]) -> list[dict[str, Any]]:
        """What is there under the name of a report. Raises SendFailure."""
        wanted = report["identifier"][0]
        query = f"{search(wanted['system'], wanted['value'])}&_elements=identifier,status,meta"
        url = f"{to.url.rstrip('/')}/DiagnosticReport?{query}"
        answer = self._authority.call(to, "GET", url, headers={"Accept": _TYPE}, maximum=_LARGEST)
        if not answer.is_success:
            raise refuse(to, answer, _outcome(answer))
        if _parsed(answer).get("resourceType") != "Bundle":
            raise SendFailure(f"{to.name} answered the question for the report with something else than a Bundle")
        found = (entry.get("resource") for entry in _entries(answer))
        return [one for one in found if isinstance(one, dict) and one.get("resourceType") == "DiagnosticReport"]


def _report_of(payload: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(payload)["entry"]
        (report,) = [one["resource"] for one in entries if one["resource"]["resourceType"] == "DiagnosticReport"]
    except (ValueError, KeyError, TypeError):
        raise SendFailure("the payload is no bundle of ours with one DiagnosticReport", permanent=True) from None
    return dict(report)


def _is_unsigned(report: dict[str, Any]) -> bool:
    """Has no person signed it here?"""
    return any(one.get("code") == _ASSERTED for one in report.get("meta", {}).get("security", ()))


def _has_the_name_of(report: dict[str, Any], found: dict[str, Any]) -> bool:
    """A server that does not know the question may answer with everything it has."""
    return report["identifier"][0]["value"] in _values(found)


def _values(found: dict[str, Any]) -> list[Any]:
    identifiers = found.get("identifier")
    return [one.get("value") for one in identifiers if isinstance(one, dict)] if isinstance(identifiers, list) else []


def _for_version(payload: bytes, there: dict[str, Any]) -> bytes:
    """The bundle with an update of just this version (FHIR R4 3.1.0.5.1); as it is where the server tells none."""
    meta = there.get("meta")
    number, version = there.get("id"), meta.get("versionId") if isinstance(meta, dict) else None
    if not _is_id(number) or not _is_id(version):
        return payload
    bundle = json.loads(payload)
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "DiagnosticReport":
            entry["resource"]["id"] = number
            entry["request"] |= {"url": f"DiagnosticReport/{number}", "ifMatch": f'W/"{version}"'}
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9.-]{1,64}", value) is not None


def _is_same(report: dict[str, Any], found: dict[str, Any]) -> bool:
    """Identifier of the DICOM document and status agree."""
    document = [one["value"] for one in report["identifier"] if one.get("system") == DICOM_UID]
    named = _values(found)
    return found.get("status") == report["status"] and all(value in named for value in document)


def _entries(answer: Answer) -> list[dict[str, Any]]:
    parsed = _parsed(answer)
    entries = parsed.get("entry") or []
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []


def _refused_entries(answer: Answer) -> int:
    """How many entries of a transaction response are no 2xx; servers may answer without a body."""
    states = [str((one.get("response") or {}).get("status", "2")) for one in _entries(answer)]
    return sum(not status.startswith("2") for status in states)


def _outcome(answer: Answer) -> str:
    """Code of the first issue of an OperationOutcome (such as `not-found`), never its texts: they quote patients."""
    issues = _parsed(answer).get("issue")
    first = issues[0] if isinstance(issues, list) and issues else {}
    return code_word(first.get("code")) if isinstance(first, dict) else ""


def _parsed(answer: Answer) -> dict[str, Any]:
    try:
        parsed = json.loads(answer.body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
