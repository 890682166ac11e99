"""Who is named for what: a signature is for the words that its person saw."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pydicom import Dataset
from sqlalchemy import select

from reports.signoff.errors import NotAllowed, SamePerson, SignOffError
from reports.signoff.person import Person
from reports.signoff.service import Signed, SignOff
from reports.signoff.tables import SignedDocument, SignedKind
from reports.text import DraftText
from tests.unit.agent.desk_of_readers import CARL, EDITED, RITA, TOM, ready, service, sign
from tests.unit.agent.ward import Ward, now

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # no question of locks

OTHER_WORDS = DraftText("Large left pneumothorax.", "Pneumothorax.")
TIM = replace(TOM, user_id=9, login="tim", name="Trainee^Tim", identifier="T-9")


def always_two(ward: Ward) -> SignOff:
    desk = service(ward)
    config = desk.workshop.config.model_copy(update={"second_signature": "always"})
    return replace(desk, workshop=replace(desk.workshop, config=config))


def cosign(ward: Ward, person: Person, text: DraftText) -> tuple[Signed, Dataset]:
    """Sign second; also the document that goes out."""
    opened = ready(ward, person)
    done = service(ward).cosign(opened.report_id, person, text, opened.version, now() + timedelta(seconds=2))
    (sent,) = ward.deliver()
    return done, ward.document(sent)


def named(document: Dataset) -> tuple[list[str], list[str]]:
    """Names of those who attest, and of those who verify."""
    people = [one for one in document.ParticipantSequence if one.ObserverType == "PSN"]
    verifiers = document.VerifyingObserverSequence
    return [str(one.PersonName) for one in people], [str(one.VerifyingObserverName) for one in verifiers]


@pytest.mark.parametrize(("text", "attests"), [(EDITED, [TOM.name]), (OTHER_WORDS, [])])
def test_a_trainee_attests_only_the_words_of_the_own_signature(ward: Ward, text: DraftText, attests: list[str]) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    sign(ward, TOM)

    done, document = cosign(ward, RITA, text)

    assert named(document) == (attests, [RITA.name])
    assert done.kind is SignedKind.SIGNED
    rows = ward.ask(lambda tx: tx.scalars(select(SignedDocument).order_by(SignedDocument.number)).all())
    assert [(row.login, row.kind) for row in rows] == [("tom", SignedKind.ATTESTED), ("rita", SignedKind.SIGNED)]


@pytest.mark.parametrize(
    ("text", "kind", "verifiers"),
    [
        (EDITED, SignedKind.COSIGNED, [RITA.name, CARL.name]),
        (OTHER_WORDS, SignedKind.SIGNED, [CARL.name]),
    ],
)
def test_a_radiologist_verifies_only_the_words_of_the_own_signature(
    ward: Ward, text: DraftText, kind: SignedKind, verifiers: list[str]
) -> None:
    ward.peer("PACS")
    ward.study_with_draft()
    opened = ready(ward)
    always_two(ward).sign(opened.report_id, RITA, EDITED, opened.version, now())

    done, document = cosign(ward, CARL, text)

    assert (done.kind, named(document)) == (kind, ([], verifiers))


@pytest.mark.parametrize(("person", "error"), [(TIM, NotAllowed), (TOM, SamePerson)])
def test_what_was_signed_first_is_changed_only_by_who_could_sign_second(
    ward: Ward, person: Person, error: type[SignOffError]
) -> None:
    ward.study_with_draft()
    sign(ward, TOM)
    opened = ready(ward, person)
    assert (opened.mine, opened.holder) == (False, None), "nor does it keep a radiologist out"
    with pytest.raises(error):
        service(ward).save(opened.report_id, person, OTHER_WORDS, {}, opened.version, now())

    opened = ready(ward, RITA)
    assert (opened.mine, opened.text) == (True, EDITED)
    service(ward).save(opened.report_id, RITA, OTHER_WORDS, {}, opened.version, now())
    assert service(ward).look(opened.report_id, TOM, now()).text == OTHER_WORDS
