"""Why an act of a person is refused. Each sentence says what to do; a person is named by the login only.

SignOffError
 +- AlreadySigned     somebody else was first
 |   +- SignedBeside  another draft of the study was signed
 +- StaleVersion      the text on the page is not the newest one
 +- OpenedByAnother   somebody else has it open
 +- PatientChanged    the study is not, or may not be, of the patient whose film was read
 +- NotShown          this person has not seen the film beside the draft
 +- IdentityUnproven  no destination has said lately whose study it is
 +- SignedSince       an addendum to what is no longer the newest document
 +- SamePerson        a second signature by the person of the first
 +- NotAllowed        the person's role, or the state of the report, does not allow it
 +- Ended             the report was rejected, replaced, withdrawn, or has expired
 +- NotCurrent        newer images have come since
 +- Unwritable        the words cannot become a report
 +- Restless          what it is about changed at every try; once more will do
"""

from __future__ import annotations

from datetime import datetime

from dicom_node.errors import WetreadError


class SignOffError(WetreadError):
    """An act that is refused. `code` is a word for pages and the JSON API; the message is a sentence for people."""

    code = "refused"


class AlreadySigned(SignOffError):
    """Somebody has signed it. by: login; empty where it was signed elsewhere."""

    code = "already-signed"

    def __init__(self, by: str) -> None:
        who = f"by {by}" if by else "elsewhere"
        super().__init__(f"the report is signed already, {who}; write an addendum, or withdraw it first")
        self.by = by


class SignedBeside(AlreadySigned):
    """Another draft of the study is its signed report. by: login."""

    code = "signed-beside"

    def __init__(self, by: str) -> None:
        SignOffError.__init__(
            self,
            f"{by} has signed another draft of this study; take this one over as an addendum to that report, or close "
            "it",
        )
        self.by = by


class StaleVersion(SignOffError):
    """The text has changed since it was loaded. version: the newest one. by: login of who changed it."""

    code = "stale-version"

    def __init__(self, version: int, by: str) -> None:
        super().__init__(
            f"the text was changed by {by or 'somebody'} meanwhile; load it again, then repeat your change"
        )
        self.version = version
        self.by = by


class OpenedByAnother(SignOffError):
    """by: login of who has it open. since: when that began, UTC."""

    code = "opened-by-another"

    def __init__(self, by: str, since: datetime) -> None:
        super().__init__(
            f"opened by {by} since {since:%H:%M} UTC; it is free when {by} leaves it, hands it over, or is silent for "
            "two minutes"
        )
        self.by = by
        self.since = since


class PatientChanged(SignOffError):
    """What the study says of its patient or order is no longer what the draft says."""

    code = "patient-changed"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; nothing was signed. Have the study read again, or withdraw its report")


class NotShown(SignOffError):
    """The film was not shown to this person."""

    code = "not-shown"

    def __init__(self) -> None:
        super().__init__("the film has not been shown to you yet; look at it, then sign")


class IdentityUnproven(SignOffError):
    """The check against the PACS is absent, too old, or has failed."""

    code = "identity-unproven"


class SignedSince(SignOffError):
    """Something was signed since the person looked, maybe this very addendum, sent twice. by: login of who signed."""

    code = "signed-since"

    def __init__(self, by: str) -> None:
        super().__init__(f"{by} has signed since you loaded this report; load it again, then add what is still missing")
        self.by = by


class SamePerson(SignOffError):
    """One person cannot sign twice."""

    code = "same-person"

    def __init__(self) -> None:
        super().__init__("the first signature is yours (login, name or staff number); somebody else must sign second")


class NotAllowed(SignOffError):
    """The person's role, or the state of the report, does not allow it."""

    code = "not-allowed"


class Ended(SignOffError):
    """Nothing more can happen to the report. state, event: which state, and why, as words of the tables."""

    code = "ended"

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"the report is {state.lower()} ({event}); it cannot be signed any more. The text is kept")
        self.state = state
        self.event = event


class NotCurrent(SignOffError):
    """Images have come since it was drafted."""

    code = "not-current"

    def __init__(self) -> None:
        super().__init__("newer images of this study have come; wait for the draft that has read them")


class Unwritable(SignOffError):
    """The words cannot become a report."""

    code = "unwritable"


class Restless(SignOffError):
    """What the documents depend on changed while they were written, several times."""

    code = "restless"

    def __init__(self) -> None:
        super().__init__("deliveries of this study were changing all the time; sign once more")
