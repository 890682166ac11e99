"""What may go to a destination: the form of an object, and where in its life it shows the report."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Form of what goes to a destination."""

    BASIC_TEXT = "basic-text"  # Basic Text SR, TID 2000: the narrative and the master of all others
    TID1500 = "tid1500"  # Comprehensive 3D SR (Comprehensive SR where that is refused), TID 1500
    KOS = "kos"  # Key Object Selection: rejection and withdrawal
    PDF = "pdf"  # Encapsulated PDF
    SC = "sc"  # Secondary Capture
    ORU = "oru"  # HL7 v2 ORU^R01
    FHIR = "fhir"  # FHIR R4 DiagnosticReport
    OUTCOME = "outcome"  # drafted, accepted, modified, rejected, withdrawn, as JSON


class Stage(StrEnum):
    """Where in its life an object shows the report."""

    DRAFT = "draft"  # the machine's, unverified
    SIGNED = "signed"
    COSIGNED = "cosigned"  # signed again by a second person
    ADDENDUM = "addendum"  # a signed report with what was added later
    NOTICE = "notice"  # says only why there is no draft
    REJECTION = "rejection"  # takes a draft back: rejected, replaced, expired
    WITHDRAWAL = "withdrawal"  # takes documents back for the patient's safety
    HIDING = "hiding"  # names a draft that was signed: the signed report stands in its place


FINAL = frozenset({Stage.SIGNED, Stage.COSIGNED, Stage.ADDENDUM})
OF_A_NOTICE = frozenset({Kind.BASIC_TEXT})  # one line of text; nothing else has anything to say
TAKES_BACK = frozenset({Stage.REJECTION, Stage.WITHDRAWAL})
NOTES = frozenset({*TAKES_BACK, Stage.HIDING})  # they name documents, and are none
KEPT = frozenset({*FINAL, Stage.HIDING})  # what a hold or a newer revision never calls off
