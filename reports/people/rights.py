"""Who may do what in the pages: rights as data. Every address names the one right that it needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """What a person is here; one may be several."""

    RADIOLOGIST = "radiologist"
    TRAINEE = "trainee"  # edits and attests; a radiologist signs second
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    SERVICE = "service"  # a program with a token, such as a RIS


class Right(StrEnum):
    """What an address needs."""

    OPEN = "open"  # nothing: probes, styles, the page to sign in
    ACCOUNT = "account"  # to be somebody
    SEE = "see"  # worklist, studies, films, drafts
    EDIT = "edit"  # write in a draft, attest it, reject it
    SIGN = "sign"  # verify, sign second, withdraw
    HANDLE = "handle"  # complete, requeue, read again, release, exclude a study
    OVERRULE = "overrule"  # let a film be read that the gate held or excluded
    ASK = "ask"  # put a question about a film to the reader
    QUALITY = "quality"
    AUDIT = "audit"
    STATUS = "status"  # where one study is, by what the asker knows of it: no word and no finding of a report
    QUEUES = "queues"  # what waits where, dead letters, brakes: to look at
    ADMINISTER = "administer"
    PEOPLE = "people"  # who may come in as what; for people alone, as it leads to every other right


HELD_BY: Final = MappingProxyType(
    {
        Role.RADIOLOGIST: frozenset(
            {
                Right.ACCOUNT,
                Right.SEE,
                Right.EDIT,
                Right.SIGN,
                Right.HANDLE,
                Right.OVERRULE,
                Right.ASK,
                Right.QUALITY,
            },
        ),
        Role.TRAINEE: frozenset({Right.ACCOUNT, Right.SEE, Right.EDIT, Right.HANDLE, Right.ASK}),
        Role.ADMINISTRATOR: frozenset(
            {
                Right.ACCOUNT,
                Right.SEE,
                Right.HANDLE,
                Right.OVERRULE,
                Right.QUALITY,
                Right.AUDIT,
                Right.ADMINISTER,
                Right.PEOPLE,
            },
        ),
        Role.AUDITOR: frozenset({Right.ACCOUNT, Right.QUALITY, Right.AUDIT}),
        Role.SERVICE: frozenset[Right](),  # the scopes of its token
    }
)


WITHIN: Final = MappingProxyType({Right.STATUS: Right.SEE, Right.QUEUES: Right.ADMINISTER})
"""A lesser right, and the one that it is a part of: whoever has that has this."""


def rights_of(roles: Iterable[Role]) -> frozenset[Right]:
    """Everything that somebody with these roles may do."""
    return frozenset({Right.OPEN}).union(*(HELD_BY[role] for role in roles))


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. user_id: 0 where nobody has signed in. login: stands in the audit trail.

    name: DICOM Person Name. session: names the session; empty for a program with a token.
    by_provider: it began at an OpenID provider.
    """

    user_id: int
    login: str
    rights: frozenset[Right]
    roles: frozenset[Role] = frozenset()
    name: str = ""
    organization: str = ""
    identifier: str = ""
    scheme: str = ""
    session: str = ""
    by_provider: bool = False

    @property
    def actor(self) -> str:
        """As the audit trail names who did something."""
        return self.login if self.login.startswith("service:") else f"person:{self.login}"

    def may(self, right: Right | str) -> bool:
        """Has this right?"""
        return right in self.rights or WITHIN.get(Right(right)) in self.rights


NOBODY: Final = Visitor(0, "nobody", frozenset({Right.OPEN, Right.SEE}))
"""Anybody at this machine, while there are no users: the pages show, and change nothing."""
