"""FHIR REST out: a transaction bundle to the base URL of a server, and the question whether it has the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dicom_node.credentials import Credential
from dicom_node.errors import SendFailure
from dicom_node.transports import Parcel
from reports.messages.identity import DICOM_UID, search
from reports.rest.authority import Authority
from reports.rest.calls import Answer, Caller, code_word, refuse

_TYPE: Final = "application/fhir+json"


class FhirTransport:
    """Sends bundles. credentials: by the name that a destination has for its own."""

    def __init__(self, caller: Caller, credentials: Mapping[str, Credential]) -> None:
        self._authority = Authority(credentials, caller)

    def send(self, parcel: Parcel) -> str:
        """Post one transaction; returns the HTTP status.

        Raises SendFailure as `refuse` has it; permanent for a transaction that was not taken whole.
        """
        destination = parcel.destination
        headers = {"Accept": _TYPE, "Content-Type": f"{_TYPE}; charset=utf-8"}
        url = destination.url.rstrip("/")
        answer = self._authority.call(destination, "POST", url, headers=headers, content=parcel.payload)
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
        wanted = report["identifier"][0]
        query = search(wanted["system"], wanted["value"])
        url = f"{parcel.destination.url.rstrip('/')}/DiagnosticReport?{query}"
        answer = self._authority.call(parcel.destination, "GET", url, headers={"Accept": _TYPE})
        if not answer.is_success:
            raise refuse(parcel.destination, answer, _outcome(answer))
        found = [entry.get("resource") for entry in _entries(answer)]
        return any(_is_same(report, one) for one in found if isinstance(one, dict))


def _report_of(payload: bytes) -> dict[str, Any]:
    try:
        entries = json.loads(payload)["entry"]
        (report,) = [one["resource"] for one in entries if one["resource"]["resourceType"] == "DiagnosticReport"]
    except (ValueError, KeyError, TypeError):
        raise SendFailure("the payload is no bundle of ours with one DiagnosticReport", permanent=True) from None
    return dict(report)


def _is_same(report: dict[str, Any], found: dict[str, Any]) -> bool:
    """Identifier of the DICOM document and status agree."""
    document = [one["value"] for one in report["identifier"] if one.get("system") == DICOM_UID]
    named = [one.get("value") for one in found.get("identifier") or [] if isinstance(one, dict)]
    return found.get("resourceType") == "DiagnosticReport" and (
        found.get("status") == report["status"] and all(value in named for value in document)
    )


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
