"""Webhooks: an outcome as JSON by POST, signed, so that the receiver knows who wrote it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from dicom_node.credentials import Credential
from dicom_node.errors import SendFailure
from dicom_node.transports import Destination, Parcel
from reports.rest.authority import Authority
from reports.rest.calls import Caller, refuse

SIGNATURE: Final = "X-Wetread-Signature"
DELIVERY: Final = "X-Wetread-Delivery"  # the same at every attempt, so that a receiver can leave doubles out


class WebhookTransport:
    """Posts payloads. credentials: the token of one is the HMAC key; without one nothing is signed.

    With OAuth 2 the token that is fetched is sent instead, and nothing is signed either.
    """

    def __init__(self, caller: Caller, credentials: Mapping[str, Credential]) -> None:
        self._caller = caller
        self._credentials = credentials
        self._authority = Authority(credentials, caller)

    def send(self, parcel: Parcel) -> str:
        """Post one payload; returns the HTTP status.

        Raises SendFailure: no answer, or no key in the configuration; any answer but 2xx as `refuse` has it.
        """
        destination = parcel.destination
        headers = {"Content-Type": "application/json", DELIVERY: parcel.sop_instance_uid}
        credential = self._credentials.get(destination.credential)
        call = self._authority.call
        if credential is None or not credential.is_fetched:
            call = self._caller.call
            if destination.credential:
                headers[SIGNATURE] = signature(parcel.payload, self._key(destination))
        answer = call(destination, "POST", destination.url, headers=headers, content=parcel.payload)
        if not answer.is_success:
            raise refuse(destination, answer)
        return str(answer.status)

    def holds(self, parcel: Parcel) -> bool:  # noqa: ARG002  the protocol of transports
        """Return True: a webhook has no other proof than 2xx."""
        return True

    def _key(self, destination: Destination) -> str:
        credential = self._credentials.get(destination.credential)
        if credential is None or not credential.token.get_secret_value():
            raise SendFailure(f"{destination.name} needs a token in delivery.credentials to sign with")
        return credential.token.get_secret_value()


def signature(payload: bytes, key: str) -> str:
    """`sha256=` and the HMAC-SHA256 of the body in hexadecimal digits."""
    return f"sha256={hmac.new(key.encode('utf-8'), payload, hashlib.sha256).hexdigest()}"
