"""One person at a time edits a draft, and nothing that was typed is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dicom_node.errors import NotFound
from reports.people.rights import Role
from reports.signoff.copies import OFFERED, SILENCE
from reports.signoff.errors import AlreadySigned, Ended, OpenedByAnother, StaleVersion, Unwritable
from reports.signoff.reasons import Reason
from reports.signoff.tables import Identity, WorkingCopy
from reports.tables import ReportState
from reports.text import DraftText
from reports.web.report import neighbors
from tests.harness.people import add_user
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, TOM, ready, service, sign
from tests.unit.agent.ward import Ward, now

HALF = DraftText("Small left pl", "")
CHIPS = {"Pleural Effusion": "present"}

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # no question of locks


def test_one_has_it_open_and_the_other_is_told_by_whom_since_when(ward: Ward) -> None:
    ward.study_with_draft()
    report_id, at = ward.report().id, now()
    mine = service(ward).open_(report_id, RITA, at)
    theirs = service(ward).open_(report_id, CARL, at + timedelta(minutes=1))
    assert (mine.mine, theirs.mine) == (True, False)
    assert theirs.holder is not None
    assert (theirs.holder.login, theirs.holder.since) == ("rita", at)
    with pytest.raises(OpenedByAnother, match="opened by rita since"):
        service(ward).save(report_id, CARL, EDITED, {}, theirs.version, at + timedelta(minutes=1))


def test_the_silent_lose_it_and_cannot_write_over_what_came_after(ward: Ward) -> None:
    ward.study_with_draft()
    report_id, at = ward.report().id, now()
    mine = service(ward).open_(report_id, RITA, at)
    assert service(ward).touch(report_id, RITA, at + timedelta(minutes=1))
    assert not service(ward).open_(report_id, CARL, at + SILENCE).mine, "a sign of life counts"

    taken = service(ward).open_(report_id, CARL, at + timedelta(minutes=1) + SILENCE)

    assert taken.mine
    assert not service(ward).touch(report_id, RITA, at + timedelta(minutes=4))
    later = at + timedelta(minutes=9)
    with pytest.raises(StaleVersion):
        service(ward).save(report_id, RITA, EDITED, {}, mine.version, later)
    assert "report-taken-over" in ward.events()


def test_what_is_left_or_handed_over_is_free(ward: Ward) -> None:
    ward.study_with_draft()
    report_id = ward.report().id
    service(ward).open_(report_id, RITA, now())
    service(ward).leave(report_id, CARL)
    assert not service(ward).open_(report_id, CARL, now()).mine, "only who has it can leave it"
    service(ward).leave(report_id, RITA)
    assert service(ward).open_(report_id, CARL, now()).mine

    service(ward).hand_over(report_id, CARL, RITA, now())

    assert service(ward).look(report_id, CARL, now()).offered_to == RITA.user_id
    opened = service(ward).open_(report_id, RITA, now())
    assert (opened.mine, opened.offered_to) == (True, None)
    with pytest.raises(OpenedByAnother):
        service(ward).hand_over(report_id, CARL, TOM, now())


def test_what_is_handed_over_is_next_for_that_one_alone_for_a_while(ward: Ward) -> None:
    ward.study_with_draft()
    report_id, study_id, at = ward.report().id, ward.study().id, now()
    carl = add_user(ward.database, "carl", Role.RADIOLOGIST)

    def next_for(user_id: int, later: timedelta = timedelta()) -> int | None:
        return ward.ask(lambda tx: neighbors(tx, 0, user_id, at + later)).next

    service(ward).hand_over(report_id, RITA, replace(CARL, user_id=carl), at)

    assert (next_for(carl), next_for(carl + 1)) == (study_id, None)
    assert next_for(carl + 1, OFFERED) == study_id


@ON_SQLITE
def test_half_a_sentence_is_kept_with_its_chips(ward: Ward) -> None:
    ward.study_with_draft()
    report_id = ward.report().id
    opened = service(ward).open_(report_id, RITA, now())
    assert opened.text == opened.drafted
    version = service(ward).save(report_id, RITA, HALF, CHIPS, opened.version, now())
    again = service(ward).open_(report_id, RITA, now())
    assert (again.text, dict(again.chips), again.version, again.edited_by) == (HALF, CHIPS, version, "rita")
    emptied = service(ward).save(report_id, RITA, DraftText("", ""), {}, version, now())
    assert service(ward).look(report_id, CARL, now()).text == DraftText("", "")
    with pytest.raises(StaleVersion) as raised:
        service(ward).save(report_id, RITA, HALF, {}, version, now())
    assert raised.value.version == emptied


@ON_SQLITE
@pytest.mark.parametrize("chips", [{"Nonsense": "present"}, {"Edema": "perhaps"}])
def test_chips_are_labels_with_states(ward: Ward, chips: dict[str, str]) -> None:
    ward.study_with_draft()
    opened = service(ward).open_(ward.report().id, RITA, now())
    with pytest.raises(Unwritable):
        service(ward).save(opened.report_id, RITA, EDITED, chips, opened.version, now())
    with pytest.raises(Unwritable):
        service(ward).save(opened.report_id, RITA, DraftText("x" * 70000, ""), {}, opened.version, now())


def test_what_is_signed_or_over_is_read_only_and_its_words_lie_in_documents(ward: Ward) -> None:
    ward.study_with_draft()
    done = sign(ward)
    opened = service(ward).open_(done.report_id, RITA, now())
    assert (opened.mine, opened.text, opened.state) == (False, EDITED, ReportState.VERIFIED)
    assert opened.drafted != EDITED
    with pytest.raises(AlreadySigned, match="by rita"):
        service(ward).save(done.report_id, CARL, HALF, {}, opened.version, now())
    copy = ward.ask(lambda tx: tx.get_one(WorkingCopy, done.report_id))
    assert (copy.findings, copy.impression, copy.chips, copy.holder_id) == ("", "", "{}", None)


@ON_SQLITE
def test_what_was_typed_survives_the_end_of_the_draft(ward: Ward) -> None:
    ward.study_with_draft()
    opened = ready(ward)
    service(ward).save(opened.report_id, RITA, HALF, {}, opened.version, now())
    service(ward).reject(opened.report_id, RITA, Reason.QUALITY, "", now())
    assert service(ward).look(opened.report_id, RITA, now()).text == HALF
    with pytest.raises(Ended):
        service(ward).save(opened.report_id, RITA, EDITED, {}, 9, now())


@ON_SQLITE
def test_the_page_is_told_what_is_still_missing(ward: Ward) -> None:
    ward.study_with_draft()
    report_id = ward.report().id
    before = service(ward).open_(report_id, RITA, now())
    assert (before.film_shown, before.identity, before.first) == (False, None, None)
    after = ready(ward)
    assert (after.film_shown, after.identity) == (True, Identity.SAME)
    assert not service(ward).look(report_id, CARL, now()).film_shown, "it was shown to somebody else"


@ON_SQLITE
def test_a_report_that_there_is_not_is_not_found(ward: Ward) -> None:
    with pytest.raises(NotFound):
        service(ward).open_(4711, RITA, now())
    with pytest.raises(NotFound):
        service(ward).addendum(4711, RITA, "More.", now())
