"""A draft of late images beside a signed report of the same study: what may become of it, and what goes out then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from pydicom import Dataset
from sqlalchemy import select

from dicom_node.kinds import FINAL, TAKES_BACK, Kind, Stage
from dicom_node.rules.tables import Late
from dicom_node.tables import Way
from reports.objects.content import read_content
from reports.signoff.errors import IdentityUnproven, NotAllowed, NotShown, SignedBeside, SignedSince
from reports.signoff.person import Person
from reports.signoff.reasons import Reason
from reports.signoff.service import Signed
from reports.signoff.tables import Decision, Identity, SignedKind
from reports.tables import Report, ReportState
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, TOM, ready, service
from tests.unit.agent.ward import Ward, now
from tests.unit.reports import films

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # no question of locks
REPLACING = {Kind.ORU, Kind.FHIR}
SOON = timedelta(minutes=1)


def two_drafts(ward: Ward, *, delivered: bool = True) -> tuple[Report, Report]:
    """The second is of an image that came when the first one was delivered, and of that alone."""
    ward.peer("PACS")
    first = ward.study_with_draft()
    ward.deliver()
    ward.receive(films.film(SOPInstanceUID=f"{films.FILM}.7"), late=Late.ADD)
    second = ward.draft()
    if delivered:
        ward.deliver()
    return first, second


def sign_one(ward: Ward, report: Report, person: Person = CARL) -> Signed:
    opened = ready(ward, person, report.id)
    return service(ward).sign(report.id, person, EDITED, opened.version, now() + timedelta(seconds=1))


def named(studies: Iterable[Dataset]) -> set[str]:
    """SOP Instance UIDs in a sequence of evidence, or of predecessors."""
    series = [one for study in studies for one in study.ReferencedSeriesSequence]
    return {str(instance.ReferencedSOPInstanceUID) for one in series for instance in one.ReferencedSOPSequence}


def state(ward: Ward, report: Report) -> ReportState:
    return ward.ask(lambda tx: tx.get_one(Report, report.id).state)


@pytest.mark.parametrize("signed", [0, 1], ids=["the older is signed", "the later is signed"])
def test_neither_is_signed_beside_the_other_and_the_refusal_says_what_to_do(ward: Ward, signed: int) -> None:
    drafts = two_drafts(ward)
    sign_one(ward, drafts[signed])
    other = drafts[1 - signed]
    opened = ready(ward, RITA, other.id)

    with pytest.raises(SignedBeside, match="carl has signed another draft of this study; take this one over"):
        service(ward).accept(other.id, RITA, opened.version, now())

    assert state(ward, other) is ReportState.DRAFT


@pytest.mark.parametrize("signed", [0, 1], ids=["the older is signed", "the later is signed"])
def test_what_is_taken_over_is_an_addendum_and_ends_the_draft(ward: Ward, signed: int) -> None:
    drafts = two_drafts(ward)
    done = sign_one(ward, drafts[signed])
    ward.deliver()
    other = drafts[1 - signed]
    opened = ready(ward, RITA, other.id)

    added = service(ward).take_over(
        other.id, RITA, "Rib fracture on the late film.", opened.version, now() + SOON, seen=done.number
    )

    assert (added.kind, added.report_id) == (SignedKind.ADDENDUM, done.report_id)
    assert state(ward, other) is ReportState.WITHDRAWN
    ward.recaller.step()
    sent = ward.deliver()
    document = next(ward.document(one) for one in sent if one.stage is Stage.ADDENDUM)
    assert read_content(document).addenda == ("Rib fracture on the late film.",)
    assert read_content(document).findings == EDITED.findings
    assert named(document.CurrentRequestedProcedureEvidenceSequence) == {films.FILM, f"{films.FILM}.7"}, "both films"
    replaced = named(document.PredecessorDocumentsSequence)

    assert added.sop_instance_uid not in replaced
    assert len(replaced) == 1, "the report that it is added to"
    assert [one.kind for one in sent if one.stage in TAKES_BACK] == [Kind.KOS], "the draft is no second narrative"
    decided = ward.ask(lambda tx: [row.report_id for row in tx.scalars(select(Decision))])
    assert decided == [drafts[signed].id], "nobody has judged the words of the other draft"


def test_what_is_closed_goes_without_a_judgment_and_the_report_stays(ward: Ward) -> None:
    first, second = two_drafts(ward)
    sign_one(ward, second)
    ward.deliver()
    ready(ward, RITA, first.id)

    service(ward).close(first.id, RITA, now())
    ward.recaller.step()

    assert [(one.kind, one.stage) for one in ward.deliver()] == [(Kind.KOS, Stage.REJECTION)]
    assert (state(ward, first), state(ward, second)) == (ReportState.WITHDRAWN, ReportState.VERIFIED)
    assert ward.ask(lambda tx: len(tx.scalars(select(Decision)).all())) == 1
    assert ward.problems() == ()


@ON_SQLITE
def test_first_signature_lapses_with_the_draft_that_is_closed(ward: Ward) -> None:
    first, second = two_drafts(ward)
    sign_one(ward, first, TOM)
    sign_one(ward, second)
    opened = ready(ward, RITA, first.id)
    with pytest.raises(SignedBeside):
        service(ward).cosign(first.id, RITA, EDITED, opened.version, now() + SOON)

    service(ward).close(first.id, RITA, now() + SOON)

    assert state(ward, first) is ReportState.WITHDRAWN


@ON_SQLITE
def test_a_draft_is_closed_or_taken_over_only_by_a_radiologist_who_saw_its_film(ward: Ward) -> None:
    first, second = two_drafts(ward)
    ready(ward, RITA, first.id)
    with pytest.raises(NotAllowed, match="no signed report"):
        service(ward).close(first.id, RITA, now())
    done = sign_one(ward, second)
    with pytest.raises(NotShown):
        service(ward).close(first.id, CARL, now())
    with pytest.raises(NotAllowed, match="a radiologist"):
        service(ward).close(first.id, TOM, now())
    with pytest.raises(SignedSince):
        service(ward).take_over(first.id, RITA, "More.", 1, now() + SOON, seen=done.number + 1)
    service(ward).identity_checked(first.id, Identity.DIFFERS, now())
    with pytest.raises(IdentityUnproven):
        service(ward).take_over(first.id, RITA, "More.", 1, now() + SOON, seen=done.number)
    assert state(ward, first) is ReportState.DRAFT


@ON_SQLITE
def test_beside_a_signed_report_a_draft_is_rejected_only_by_a_radiologist_who_saw_its_film(ward: Ward) -> None:
    """The rejection ends the only reason for which anybody still looks at it."""
    first, second = two_drafts(ward)
    sign_one(ward, second)
    ready(ward, TOM, first.id)
    service(ward).leave(first.id, TOM)

    with pytest.raises(NotAllowed, match="a radiologist"):
        service(ward).reject(first.id, TOM, Reason.QUALITY, "", now())
    with pytest.raises(NotShown):
        service(ward).reject(first.id, CARL, Reason.QUALITY, "", now())
    assert state(ward, first) is ReportState.DRAFT

    service(ward).film_shown(first.id, CARL, now())
    service(ward).reject(first.id, CARL, Reason.QUALITY, "", now())
    assert state(ward, first) is ReportState.REJECTED


@pytest.mark.parametrize("signed", [0, 1], ids=["the older is signed", "the later is signed"])
def test_message_of_the_signed_report_is_not_taken_back_with_the_other_draft(ward: Ward, signed: int) -> None:
    """A receiver has one report of a study: what would take the draft back there takes the signed report back."""
    ward.service("RIS", Way.MLLP)
    ward.service("EHR", Way.FHIR)
    drafts = two_drafts(ward)
    sign_one(ward, drafts[signed])
    other = drafts[1 - signed]
    ready(ward, RITA, other.id)
    service(ward).close(other.id, RITA, now())
    ward.recaller.step()  # before the signed report has left

    sent = ward.deliver()
    ward.recaller.step()

    told = [(one.destination, one.stage) for one in [*sent, *ward.deliver()] if one.kind in REPLACING]
    assert sorted(told) == [("EHR", Stage.SIGNED), ("RIS", Stage.SIGNED)]
    assert ward.ask(lambda tx: tx.get_one(Report, other.id).taken_back_at) is not None
    assert ward.problems() == ()


def test_no_draft_leaves_after_the_signature_of_the_one_beside_it(ward: Ward) -> None:
    """Its message would replace the signed report at the receiver."""
    ward.service("RIS", Way.MLLP)
    first, second = two_drafts(ward, delivered=False)

    sign_one(ward, first)

    assert {one.stage for one in ward.deliver()} <= FINAL
    assert state(ward, second) is ReportState.DRAFT, "nobody has said anything about it"
    assert ward.problems() == ()
