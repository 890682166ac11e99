"""Who acts: always a person, never a device."""

from __future__ import annotations

from dataclasses import dataclass

from reports.objects.signer import Signer


@dataclass(frozen=True, slots=True)
class Person:
    """A person as the sign-off service needs to know one.

    login: for the audit trail and for what others are told. name: DICOM Person Name (`Family^Given`), it stands in
    documents. organization: 1-64 characters. identifier, scheme: staff number and its coding scheme, both or neither.
    may_verify: False for a trainee, whose signature attests; a radiologist must sign second.
    """

    user_id: int
    login: str
    name: str
    organization: str
    identifier: str
    scheme: str
    may_verify: bool

    @property
    def actor(self) -> str:
        """As the audit trail names people."""
        return f"person:{self.login}"[:64]

    @property
    def signer(self) -> Signer:
        """As documents name people."""
        return Signer(self.name, self.organization, self.identifier, self.scheme)
