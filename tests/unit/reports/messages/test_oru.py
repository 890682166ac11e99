"""ORU^R01: what it says, read by a library that has no part in writing it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hl7apy.core import Message
from hl7apy.parser import parse_message
from pydicom import Dataset

from dicom_node.kinds import Stage
from reports.findings import extract
from reports.messages.oru import Parties, build_oru, build_oru_withdrawal
from reports.objects.basic_text import build_notice
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature, Signer
from reports.provenance import NOTICE
from reports.text import DraftText
from tests.unit.reports.films import CONFIG, MOMENT, draft, film, in_charset, ordered_cr, provenance

PARTIES = Parties("WETREAD", "AI|ROOM", "RIS", "HOSPITAL")
WORDS = DraftText("Opacity | left ^ right ~ 5\\6 & more.\nSecond\x0b line\twith tab.", "No effusion.")
FIRST = Signature(Signer("Reader^Rita", "Example Hospital"), MOMENT + timedelta(minutes=5))
SECOND = Signature(Signer("Chief^Carl^^Dr", "Example Hospital"), MOMENT + timedelta(minutes=9))


def parsed(message: bytes) -> Message:
    return parse_message(message.decode("utf-8"), find_groups=False)


def oru(master: Dataset) -> Message:
    return parsed(build_oru(master, PARTIES, CONFIG))


def signed(source: Dataset, *signatures: Signature, predecessor: Dataset | None = None) -> Dataset:
    arguments = {"number": 1, "not_before": MOMENT, "config": CONFIG, "predecessor": predecessor or source}
    return build_signed(source, WORDS, signatures or (FIRST,), **arguments)  # type: ignore[arg-type]


def observations(message: Message) -> dict[str, tuple[str, str]]:
    """Value and status of each OBX by the name in its OBX-3.2.

    hl7apy knows line ends in FT only and shows their backslashes in TX as escaped; archives know no FT.
    """
    return {
        one.obx_3.obx_3_2.value: (one.obx_5.value.replace("\\E\\.br\\E\\", "\\.br\\"), one.obx_11.value)
        for one in message.obx
    }


def test_draft_says_unverified_everywhere_and_never_preliminary() -> None:
    message = oru(draft())

    assert message.obr.obr_25.value == "R"
    assert {one.obx_11.value for one in message.obx} == {"R", "O"}
    assert message.obx[0].obx_3.obx_3_1.value == "55112-7"
    assert NOTICE in message.obx[0].obx_5.value
    assert not message.obr.obr_32.value


def test_each_text_of_a_draft_begins_with_the_notice_and_no_text_of_a_signed_report_has_it() -> None:
    drafted = observations(oru(draft()))
    final = build_oru(signed(draft()), PARTIES, CONFIG)

    assert drafted["Findings"][0].startswith(f"{NOTICE}\\.br\\")
    assert drafted["Impressions"][0].startswith(f"{NOTICE}\\.br\\")
    assert NOTICE.encode() not in final


def test_patient_study_and_order_are_those_of_the_images() -> None:
    message = oru(draft(ordered_cr()))

    assert message.pid.pid_3.value == "EX-0001^^^HOSPITAL&1.2.3&ISO"
    assert message.pid.pid_5.value == "Example^Film^^^^^L^A"
    assert (message.pid.pid_7.value, message.pid.pid_8.value) == ("19600102", "F")
    assert message.obr.obr_3.value == "FILL-9"
    assert message.obr.obr_4.value == "XR1^Chest AP^99HOSP"
    assert message.obr.obr_7.value == "20250301101500+0900"
    assert (message.obr.obr_18.value, message.obr.obr_19.value) == ("ACC0001", "RP1")
    assert observations(message)["DICOM Study"][0] == "1.2.826.0.1.3680043.10.999.1"


def test_study_moment_gets_no_offset_that_the_images_do_not_name() -> None:
    assert oru(draft(film(StudyTime="101500.25"))).obr.obr_7.value == "20250301101500"
    assert oru(draft(film(StudyTime=None))).obr.obr_7.value == "20250301"
    assert oru(draft(film(StudyDate=None))).obr.obr_7.value == ""


@pytest.mark.parametrize(
    ("charset", "expected"),
    [
        ("korean", "Hong^Gildong^^^^^L^A~洪^吉洞^^^^^L^I~홍^길동^^^^^L^P"),
        ("arabic", "مثال^صورة^^^^^L^A"),
        ("chinese-gb18030", "Wang^XiaoDong^^^^^L^A~王^小东^^^^^L^I"),
    ],
)
def test_names_of_every_script_arrive_as_repetitions(charset: str, expected: str) -> None:
    message = build_oru(draft(in_charset(charset)), PARTIES, CONFIG)

    assert parsed(message).msh.msh_18.value == "UNICODE UTF-8"
    assert message.decode("utf-8").split("\rPID|")[1].split("|")[4] == expected


def test_suffix_and_prefix_change_places_between_dicom_and_hl7() -> None:
    message = oru(draft(film(PatientName="Example^Film^M.^Dr^Jr")))

    assert message.pid.pid_5.value == "Example^Film^M.^Jr^Dr^^L^A"


def test_delimiters_line_ends_and_controls_in_text_break_nothing() -> None:
    message = build_oru(signed(draft()), PARTIES, CONFIG)

    value = observations(parsed(message))["Findings"][0]
    assert value == "Opacity \\F\\ left \\S\\ right \\R\\ 5\\E\\6 \\T\\ more.\\.br\\Second line with tab."
    assert b"AI\\F\\ROOM" in message
    assert not [byte for byte in message if byte < 0x20 and byte != 0x0D]


def test_signed_is_final_and_names_who_interpreted_it() -> None:
    message = oru(signed(draft(), FIRST, SECOND))

    assert message.obr.obr_25.value == "F"
    assert {one.obx_11.value for one in message.obx} == {"F", "O"}
    assert message.obr.obr_32.value == "&Chief&Carl&&&Dr^20250301233905+0000"
    assert message.obr.obr_33.value == "&Reader&Rita^20250301233505+0000"


def test_what_replaces_a_final_at_its_destination_is_a_correction() -> None:
    first = signed(draft())
    again = signed(first, FIRST, SECOND, predecessor=first)
    arguments = {"number": 2, "not_before": FIRST.at, "config": CONFIG, "predecessor": None}
    added = build_addendum(first, "Compared with CT.", SECOND, **arguments)  # type: ignore[arg-type]

    assert oru(again).obr.obr_25.value == "C"
    assert oru(added).obr.obr_25.value == "C"
    assert observations(oru(added))["Addendum"] == ("Compared with CT.", "C")


def test_notice_does_not_cancel_the_order() -> None:
    notice = build_notice(
        [film()], "The film is a lateral.", provenance(), revision=1, content_at=MOMENT, config=CONFIG
    )

    message = oru(notice)
    assert message.obr.obr_25.value == "R"
    assert observations(message)["Summary"][0].startswith("No AI draft: The film is a lateral.")


def test_findings_become_coded_observations_that_name_absence_as_the_value() -> None:
    found = extract("No pneumothorax. Possible small left effusion.").by_label
    findings = [found["Pneumothorax"], found["Pleural Effusion"]]

    message = parsed(build_oru(draft(), PARTIES, CONFIG, findings=findings))

    coded = {one.obx_3.value: one.obx_5.value for one in message.obx if one.obx_2.value == "CE"}
    assert coded == {
        "36118008^Pneumothorax^SCT": "272519000^Absent^SCT",
        "60046008^Pleural effusion^SCT": "373068000^Undetermined^SCT",
    }


def codes_of(message: Message) -> dict[str, tuple[str, str]]:
    return {one.obx_3.value: (one.obx_5.value, one.obx_11.value) for one in message.obx if one.obx_2.value == "CE"}


def test_a_newer_message_deletes_the_codes_that_it_no_longer_says() -> None:
    before = list(extract("Pneumothorax. Left effusion.").by_label.values())
    after = list(extract("No pneumothorax.").by_label.values())

    message = parsed(build_oru(draft(), PARTIES, CONFIG, findings=after, formerly=before))

    assert codes_of(message) == {
        "36118008^Pneumothorax^SCT": ("272519000^Absent^SCT", "R"),
        "60046008^Pleural effusion^SCT": ("^WITHDRAWN", "D"),
    }


def deleted(message: Message) -> list[tuple[str, str, str]]:
    """Name, number and value of each text that is deleted."""
    return [
        (one.obx_3.obx_3_2.value, one.obx_4.value, one.obx_5.value)
        for one in message.obx
        if (one.obx_2.value, one.obx_11.value) == ("TX", "D")
    ]


def test_signed_report_deletes_the_notice_of_the_draft_and_corrects_its_other_texts_by_their_names() -> None:
    source = draft()

    message = parsed(build_oru(signed(source), PARTIES, CONFIG, replaced=[source]))

    assert deleted(message) == [("Summary", "", "WITHDRAWN")]
    names = {one.obx_3.obx_3_1.value for one in oru(source).obx}
    assert names == {one.obx_3.obx_3_1.value for one in message.obx}, "nothing of the draft stays as it was"
    assert NOTICE not in build_oru(signed(source), PARTIES, CONFIG, replaced=[source]).decode()


def test_report_signed_anew_deletes_the_addenda_that_it_has_no_more() -> None:
    report = signed(draft())
    first = addendum(report, "Compared with CT.", FIRST, 2)
    second = addendum(first, "And with MR.", SECOND, 3)
    anew = signed(draft(), Signature(Signer("Third^Tina", "Example Hospital"), MOMENT + timedelta(hours=1)))

    message = parsed(build_oru(anew, PARTIES, CONFIG, replaced=[second, draft()]))

    assert deleted(message) == [
        ("Addendum", "1", "WITHDRAWN"),
        ("Addendum", "2", "WITHDRAWN"),
        ("Summary", "", "WITHDRAWN"),
    ]


def test_newer_draft_deletes_no_text_since_it_says_each_anew() -> None:
    assert deleted(parsed(build_oru(draft(revision=2), PARTIES, CONFIG, replaced=[draft()]))) == []


def addendum(final: Dataset, words: str, signature: Signature, number: int) -> Dataset:
    later = Signature(signature.signer, MOMENT + timedelta(minutes=10 * number))
    return build_addendum(final, words, later, number=number, not_before=MOMENT, config=CONFIG, predecessor=final)


@pytest.mark.parametrize(("stage", "status"), [(Stage.REJECTION, "D"), (Stage.WITHDRAWAL, "W")])
def test_what_is_taken_back_leaves_no_code_standing(stage: Stage, status: str) -> None:
    findings = list(extract("Pneumothorax. No effusion.").by_label.values())

    message = parsed(build_oru_withdrawal(draft(), stage, "Not so.", MOMENT, PARTIES, CONFIG, findings=findings))

    sent = parsed(build_oru(draft(), PARTIES, CONFIG, findings=findings))
    assert codes_of(message) == dict.fromkeys(codes_of(sent), ("^WITHDRAWN", status))
    assert len(codes_of(message)) == 2


def test_rejected_draft_is_deleted_and_says_so_without_its_words() -> None:
    source = draft()
    message = parsed(build_oru_withdrawal(source, Stage.REJECTION, "Wrong side.", MOMENT, PARTIES, CONFIG))

    said = observations(message)
    assert message.obr.obr_25.value == "R"
    assert said["Summary"][0].startswith("WITHDRAWN: ")
    assert (said["Findings"], said["Impressions"]) == (("WITHDRAWN", "D"), ("WITHDRAWN", "D"))
    assert said["DICOM Study"][0] == source.StudyInstanceUID


def test_withdrawn_report_is_a_correction_posted_as_wrong() -> None:
    message = parsed(build_oru_withdrawal(signed(draft()), Stage.WITHDRAWAL, "Wrong patient.", MOMENT, PARTIES, CONFIG))

    assert message.obr.obr_25.value == "C"
    assert observations(message)["Findings"] == ("WITHDRAWN", "W")


def test_draft_cannot_be_taken_back_as_a_draft() -> None:
    with pytest.raises(ValueError, match="rejection or a withdrawal"):
        build_oru_withdrawal(draft(), Stage.DRAFT, "x", MOMENT, PARTIES, CONFIG)


def test_same_master_gives_the_same_bytes_and_another_one_another_control_id() -> None:
    assert build_oru(draft(), PARTIES, CONFIG) == build_oru(draft(), PARTIES, CONFIG)
    controls = {oru(one).msh.msh_10.value for one in (draft(), draft(revision=2), signed(draft()))}
    assert len(controls) == 3
    assert {len(control) for control in controls} == {20}


def test_filler_number_is_made_of_the_accession_only_where_configured() -> None:
    asked = Parties(filler_from_accession=True)

    assert oru(draft()).obr.obr_3.value == ""
    assert parsed(build_oru(draft(), asked, CONFIG)).obr.obr_3.value == "ACC0001"
