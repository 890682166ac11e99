"""Delivery by DICOMweb: STOW-RS (PS3.18 10.5), and QIDO-RS (PS3.18 10.6) as its proof."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from functools import partial
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final

import httpx
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

from dicom_node import identity
from dicom_node.credentials import Credential, authorization
from dicom_node.dimse import is_permanent
from dicom_node.errors import SendFailure
from dicom_node.identity import COERCED, DIFFERS
from dicom_node.peer import named
from dicom_node.retrieval import part_of
from dicom_node.transports import Parcel

LONGEST_ANSWER: Final = 1 << 20  # bytes; that of one instance has some hundred

_JSON: Final = "application/dicom+json"
_OF_A_STUDY: Final = ("StudyInstanceUID", *identity.COMPARED)
_DUPLICATE: Final = 0x0111
_NO_SUCH_CLASS: Final = 0x0122
_STORED: Final = frozenset({200, 202, 204})
_NEVER: Final = frozenset({400, 405, 406, 411, 413, 415})  # said of the request; the same one will fare no better
_WORDS: Final = MappingProxyType(
    {
        401: "it does not accept our credential; correct delivery.credentials",
        403: "our credential may not do that there",
        404: "there is no such service; is the URL right?",
        413: "the object is too large for it",
        415: "it takes no multipart/related with application/dicom",
        429: "it has too much to do",
    }
)
# Attributes of the Store Instances Response (PS3.18 10.5.3)
_FAILED, _REFERENCED = "00081198", "00081199"
_FAILURE_REASON, _WARNING_REASON, _INSTANCE, _UID = "00081197", "00081196", "00081155", "00080018"


class StowTransport:
    """Sends Part 10 files to a DICOMweb service. TLS is verified against the certificates that the machine trusts."""

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        *,
        connect_seconds: float = 10,
        answer_seconds: float = 60,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._credentials = credentials
        self._answer_seconds = answer_seconds
        self._client = httpx.Client(
            timeout=httpx.Timeout(answer_seconds, connect=connect_seconds),
            verify=trust or ssl.create_default_context(),
            follow_redirects=False,  # documents go where a person said, and nowhere else
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def send(self, parcel: Parcel) -> str:
        """Store one instance; returns the HTTP status. Raises SendFailure."""
        name = parcel.destination.name
        self._look_at_the_study(parcel, DIFFERS)
        boundary = _boundary(parcel.payload)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": _JSON,
        }
        body = b"".join(
            [
                f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
                parcel.payload,
                f"\r\n--{boundary}--\r\n".encode(),
            ]
        )
        status, answer = self._ask(parcel, "POST", "/studies", headers, content=body, stores=True)
        reason = _reason(answer, _FAILED, _FAILURE_REASON, parcel.sop_instance_uid)
        if reason == _DUPLICATE:
            return f"{status} 0111"
        if reason is not None:
            raise _refused(name, parcel, reason)
        if status not in _STORED:
            raise _failure(name, status, stores=True)
        warning = _reason(answer, _REFERENCED, _WARNING_REASON, parcel.sop_instance_uid)
        return f"{status} {warning:04X}" if warning else str(status)

    def holds(self, parcel: Parcel) -> bool:
        """Does a search for the instance in its study find it? Raises SendFailure."""
        path = f"/studies/{parcel.study_instance_uid}/instances"
        query = {"SOPInstanceUID": parcel.sop_instance_uid}
        status, answer = self._ask(parcel, "GET", path, {"Accept": _JSON}, params=query)
        if status in {204, 404}:  # some say so where the study is unknown
            return False
        if status != 200:
            raise _failure(parcel.destination.name, status, stores=False)
        found = answer if isinstance(answer, list) else []
        if not any(_value(instance, _UID) == parcel.sop_instance_uid for instance in found):
            return False
        self._look_at_the_study(parcel, COERCED)
        return True

    def _look_at_the_study(self, parcel: Parcel, code: str) -> None:
        """Is it there of the same patient and order? Raises SendFailure."""
        if not identity.is_asked_of(parcel):
            return
        document = dcmread(BytesIO(parcel.payload), stop_before_pixels=True)
        named = identity.must_be_the_same(document, parcel, partial(self._studies, parcel), code=code)
        if named and code == DIFFERS:
            identity.must_have_the_films(document, parcel, partial(self._has, parcel))

    def _studies(self, parcel: Parcel, keys: Dataset) -> list[Dataset] | None:
        """A search for one study (QIDO-RS); None where the service does not answer that. Raises SendFailure.

        404 and a page for people say that no search is there, never that it has found nothing (PS3.18 10.6.3).
        """
        wanted = {"StudyInstanceUID": str(keys.StudyInstanceUID), "includefield": "00100021"}  # others come anyway
        status, answer = self._ask(parcel, "GET", "/studies", {"Accept": _JSON}, params=wanted)
        if status == 204:
            return []
        if status != 200 or not isinstance(answer, list):
            return None
        found = [_study(one) for one in answer if isinstance(one, dict)]
        return [one for one in found if one.StudyInstanceUID == keys.StudyInstanceUID]

    def _has(self, parcel: Parcel, keys: Dataset) -> bool | None:
        """A search for one image; None where the service does not answer that. Raises SendFailure."""
        path = f"/studies/{keys.StudyInstanceUID}/instances"
        status, answer = self._ask(
            parcel, "GET", path, {"Accept": _JSON}, params={"SOPInstanceUID": str(keys.SOPInstanceUID)}
        )
        if status == 204:
            return False
        if status != 200 or not isinstance(answer, list):
            return None
        return any(_value(instance, _UID) == keys.SOPInstanceUID for instance in answer)

    def fetch(self, parcel: Parcel, series_instance_uid: str) -> Dataset | None:
        """The instance as the service has it (WADO-RS, PS3.18 10.4); None where it has none. Raises SendFailure."""
        study, instance = parcel.study_instance_uid, parcel.sop_instance_uid
        path = f"/studies/{study}/series/{series_instance_uid}/instances/{instance}"
        response, body = self._exchange(parcel, "GET", path, {"Accept": 'multipart/related; type="application/dicom"'})
        if response.status_code in {204, 404}:
            return None
        if response.status_code != 200:
            raise _failure(parcel.destination.name, response.status_code, stores=False)
        boundary = re.search(r'boundary="?([^";]+)', response.headers.get("Content-Type", ""))
        return part_of(body, boundary[1]) if boundary else None

    def _ask(
        self, parcel: Parcel, method: str, path: str, headers: dict[str, str], *, stores: bool = False, **more: Any
    ) -> tuple[int, Any]:
        """One exchange: its status, and its body where that is JSON. Raises SendFailure."""
        response, body = self._exchange(parcel, method, path, headers, stores=stores, **more)
        return response.status_code, _parsed(body)

    def _exchange(
        self, parcel: Parcel, method: str, path: str, headers: dict[str, str], *, stores: bool = False, **more: Any
    ) -> tuple[httpx.Response, bytes]:
        to = parcel.destination
        headers |= authorization(to, self._credentials)
        try:
            with self._client.stream(method, f"{to.url.rstrip('/')}{path}", headers=headers, **more) as response:
                body = b"".join(self._read(response, to.name, may_be_there=stores))
                return response, body
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise SendFailure(f"{to.name} cannot be reached: {_cause(error)}", unreachable=True) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            late = isinstance(error, httpx.TimeoutException)
            what = "did not answer within the time-out" if late else "broke off before it answered"
            words = f"{to.name} {what} ({type(error).__name__})"
            raise SendFailure(words, may_be_there=stores) from error

    def _read(self, response: httpx.Response, name: str, *, may_be_there: bool) -> Iterator[bytes]:
        """The body, within bounds of size and time. Raises SendFailure."""
        deadline, left = time.monotonic() + self._answer_seconds, LONGEST_ANSWER
        for chunk in response.iter_bytes():  # as it comes: whoever sends it drop by drop is seen to
            left -= len(chunk)
            if left < 0 or time.monotonic() > deadline:
                words = f"{name} sends an answer without an end; is its URL that of a DICOMweb service?"
                raise SendFailure(words, may_be_there=may_be_there)
            yield chunk


def _boundary(payload: bytes) -> str:
    """A line that is not in the payload; the same for the same payload."""
    digest = hashlib.sha256(payload)
    while digest.hexdigest().encode() in payload:
        digest.update(b"again")
    return digest.hexdigest()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body.strip() else None
    except (ValueError, RecursionError):  # XML, or a page for people
        return None


def _reason(answer: Any, sequence: str, attribute: str, sop_instance_uid: str) -> int | None:
    """What the answer says of this instance; None where it says nothing. One answer may stand in a list."""
    for part in answer if isinstance(answer, list) else [answer]:
        items = part.get(sequence, {}).get("Value", []) if isinstance(part, dict) else []
        for item in items if isinstance(items, list) else []:
            uid = _value(item, _INSTANCE)
            if uid in {sop_instance_uid, None}:
                reason = _value(item, attribute)
                return reason if isinstance(reason, int) else 0 if sequence == _FAILED else None
    return None


def _value(item: Any, attribute: str) -> Any:
    element = item.get(attribute) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _study(answer: dict[str, Any]) -> Dataset:
    """Whose study it is, of an answer to a search."""
    values = {keyword: _value(answer, f"{tag_for_keyword(keyword):08X}") for keyword in _OF_A_STUDY}
    return identity.answer_of({keyword: value for keyword, value in values.items() if isinstance(value, str)})


def _refused(name: str, parcel: Parcel, reason: int) -> SendFailure:
    """As a C-STORE status of the same number (PS3.18 table 10.5.3-1)."""
    if reason == _NO_SUCH_CLASS:
        return SendFailure(f"{name} takes no {named(parcel.sop_class_uid)}", class_refused=True)
    return SendFailure(f"{name} refused the object with reason 0x{reason:04X}", permanent=is_permanent(reason))


def _failure(name: str, status: int, *, stores: bool) -> SendFailure:
    """An HTTP status in words. What the request did is open where the service, or one before it, broke down."""
    redirect = "it wants us elsewhere; register the URL that it means" if 300 <= status < 400 else ""
    words = _WORDS.get(status) or redirect or "see its log"
    permanent = status in _NEVER
    return SendFailure(
        f"{name} answered HTTP {status}: {words}", permanent=permanent, may_be_there=stores and status >= 500
    )


def _cause(error: Exception) -> str:
    """What the system says of a connection that did not come about, without addresses that may hold secrets."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted here ({cause.verify_message})"
        cause = cause.__cause__ or cause.__context__
    return "is the URL right, the port open, the service running?"
