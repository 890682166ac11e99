"""Which headers are read, excluded, or wait for a person."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from functools import partial
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from agent.imaging import gate, views

CAME = date(2026, 11, 22)
judge = partial(gate.judge, received=CAME)
UNKNOWN = "the age is unknown; taken for an adult"


def header(**attributes: Any) -> Dataset:
    dataset = Dataset()
    usual: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "PatientAge": "055Y",
        "ViewPosition": "PA",
        "Rows": 2500,
        "Columns": 2048,
    }
    for name, value in (usual | attributes).items():
        if name.endswith("CodeSequence") and value and isinstance(value[0], str):
            setattr(dataset, name, [code(*value)])
        elif value is not None:
            setattr(dataset, name, value)
    return dataset


def code(value: str, meaning: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def outcome(dataset: Dataset) -> tuple[str, str]:
    verdict = judge(dataset)
    assert verdict.explanation.endswith(".")
    return verdict.decision, verdict.code


def test_an_adult_chest_film_is_read() -> None:
    verdict = judge(header())
    assert (verdict.decision, verdict.code, verdict.notes) == ("read", "accepted", ())


@pytest.mark.parametrize(
    ("sop_class", "modality", "expected"),
    [
        (ComputedRadiographyImageStorage, "CR", ("read", "accepted")),
        (DigitalXRayImageStorageForProcessing, "DX", ("read", "accepted")),
        (DigitalXRayImageStorageForPresentation, "CR", ("read", "accepted")),
        (SecondaryCaptureImageStorage, "DX", ("read", "accepted")),
        (SecondaryCaptureImageStorage, "CR", ("read", "accepted")),
        (SecondaryCaptureImageStorage, "OT", ("confirm", "secondary-capture")),
        (SecondaryCaptureImageStorage, None, ("confirm", "secondary-capture")),
        (SecondaryCaptureImageStorage, "CT", ("exclude", "not-a-projection-image")),
        (DigitalXRayImageStorageForPresentation, "MG", ("exclude", "not-a-projection-image")),
        (MultiFrameTrueColorSecondaryCaptureImageStorage, "OT", ("exclude", "not-a-projection-image")),
        (CTImageStorage, "CT", ("exclude", "not-a-projection-image")),
        (None, "CR", ("exclude", "not-a-projection-image")),
    ],
)
def test_kinds_of_objects(sop_class: str | None, modality: str | None, expected: tuple[str, str]) -> None:
    assert outcome(header(SOPClassUID=sop_class, Modality=modality)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "CHEST",
        " chest ",
        "Thorax",
        "TÓRAX",
        "CHEST PA",
        "CHEST_PORTABLE",
        "Chest 2 views",
        "NON GRID CHEST",
        "LUNG",
        "Brustkorb",
        "klatka piersiowa",
        "PŁUCA",
        "흉부",
        "胸部",
        "Грудная клетка",
    ],
)
def test_names_of_the_chest(name: str) -> None:
    assert outcome(header(BodyPartExamined=name)) == ("read", "accepted")


@pytest.mark.parametrize(
    "name",
    ["HAND", "Abdomen", "CSPINE", "T SPINE", "thoracic spine", "RIBS", "CHEST ABDOMEN", "CHESTABDPELVIS", "BREAST"],
)
def test_other_parts_are_excluded(name: str) -> None:
    assert outcome(header(BodyPartExamined=name)) == ("exclude", "not-a-chest")


@pytest.mark.parametrize("name", [None, "", "  ", "B?cken", "UNKNOWN", "XQZ", "123", "BRUST"])
def test_absent_and_unreadable_parts_wait(name: str | None) -> None:
    assert outcome(header(BodyPartExamined=name)) == ("confirm", "body-part-unknown")
    assert judge(header(BodyPartExamined=name), confirmed=True).decision == "read"


@pytest.mark.parametrize("name", [None, "", "  ", "UNKNOWN", "Other"])
def test_a_site_may_let_the_pixels_decide_where_no_part_is_named(name: str | None) -> None:
    film = header(BodyPartExamined=name)
    verdict = judge(film, pixels_name_the_part=True)
    assert (verdict.decision, verdict.code) == ("read", gate.BY_PIXELS)
    assert verdict.notes == ("body part not in the header; the pixels raised no doubt",)
    confirmed = judge(film, confirmed=True, pixels_name_the_part=True)
    assert confirmed.notes[1] == "confirmed as a frontal adult chest film by a person"


def test_pixels_decide_nothing_that_a_header_says() -> None:
    by_pixels = partial(judge, pixels_name_the_part=True)
    hand = [code("85562004", "Hand")]
    assert by_pixels(header()).code == "accepted"
    assert by_pixels(header(BodyPartExamined="XQZ")).code == "body-part-unknown"
    assert by_pixels(header(BodyPartExamined="HAND")).code == "not-a-chest"
    assert by_pixels(header(BodyPartExamined=None, AnatomicRegionSequence=hand)).code == "not-a-chest"
    assert by_pixels(header(BodyPartExamined=None, PatientAge="009Y")).code == "child"
    assert by_pixels(header(BodyPartExamined=None, ViewPosition="QQ")).code == "view-unknown"
    overruled = by_pixels(header(BodyPartExamined=None, PatientAge="009Y"), overruled=frozenset({"child"}))
    assert overruled.code == "body-part-unknown"


def test_the_anatomic_region_speaks_where_the_name_is_absent() -> None:
    chest, hand = [code("51185008", "Chest")], [code("85562004", "Hand")]
    assert outcome(header(BodyPartExamined=None, AnatomicRegionSequence=chest)) == ("read", "accepted")
    assert outcome(header(BodyPartExamined=None, AnatomicRegionSequence=hand)) == ("exclude", "not-a-chest")
    assert outcome(header(AnatomicRegionSequence=hand)) == ("confirm", "body-part-conflict")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"PatientAge": "018Y"}, ("read", "accepted")),
        ({"PatientAge": "62"}, ("read", "accepted")),
        ({"PatientAge": "017Y"}, ("exclude", "child")),
        ({"PatientAge": "011M"}, ("exclude", "child")),
        ({"PatientAge": "003W"}, ("exclude", "child")),
        ({"PatientAge": "000Y"}, ("exclude", "child")),
        ({"PatientAge": "300M"}, ("read", "accepted")),
        ({"PatientAge": None, "PatientBirthDate": "20060602", "StudyDate": "20240601"}, ("exclude", "child")),
        ({"PatientAge": None, "PatientBirthDate": "20060601", "StudyDate": "20240601"}, ("read", "accepted")),
        ({"PatientAge": "040Y", "PatientBirthDate": "20200101", "StudyDate": "20240601"}, ("confirm", "age-conflict")),
    ],
)
def test_age(attributes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert outcome(header(**attributes)) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientAge": None},
        {"PatientAge": ""},
        {"StudyDate": "20240101"},
        {"PatientAge": "999Y"},  # nobody's: devices write it where they know none
        {"PatientBirthDate": "18000101", "StudyDate": "20240101"},
    ],
)
def test_an_absent_age_is_accepted_and_told(attributes: dict[str, Any]) -> None:
    verdict = judge(header(**({"PatientAge": None} | attributes)))
    assert verdict.decision == "read"
    assert verdict.notes == (UNKNOWN,)
    assert judge(header(**({"PatientAge": None} | attributes)), hold_unknown_age=True).code == "age-unknown"


BORN_2021: tuple[dict[str, Any], ...] = (
    {"PatientBirthDate": "20210503"},
    {"PatientBirthDate": "20210503", "StudyDate": ""},
    {"PatientBirthDate": "20210503", "StudyDate": "20200101"},  # before the birth
    {"PatientBirthDate": "20210503", "StudyDate": "20990101"},  # after its reception
    {"PatientBirthDate": "20210503", "StudyDate": "20200101", "AcquisitionDate": "20240101"},
    {"PatientBirthDate": "20210000", "StudyDate": "20240101"},
    {"PatientBirthDate": "20210500", "StudyDate": "20240101"},
    {"PatientBirthDate": "2021-05-03", "StudyDate": "20240101"},
    {"PatientBirthDate": "2021.05.03", "StudyDate": "20240101"},
    {"PatientBirthDate": "2021", "StudyDate": "20240101"},
    {"PatientAge": "5 Y"},
    {"PatientAge": "0.5Y"},
    {"PatientAge": "005J"},
    {"PatientAge": "008A"},
)


@pytest.mark.parametrize("attributes", BORN_2021)
def test_a_child_is_found_whatever_is_wrong_with_its_dates(attributes: dict[str, Any]) -> None:
    assert outcome(header(**({"PatientAge": None} | attributes))) == ("exclude", "child")


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientAge": "005Q"},
        {"PatientBirthDate": "03052021", "StudyDate": "20240101"},
        {"PatientBirthDate": "20052010", "StudyDate": "20240101"},
        {"PatientBirthDate": "19122010", "StudyDate": "20240101"},  # no year 1912
        {"PatientBirthDate": "00002010"},
        {"PatientBirthDate": "20270101", "StudyDate": "20240101"},  # after its reception
        {"PatientBirthDate": "20080000", "StudyDate": "20261101"},  # 17 or 18
    ],
)
def test_an_age_that_is_there_and_cannot_be_read_waits(attributes: dict[str, Any]) -> None:
    film = header(**({"PatientAge": None} | attributes))
    assert outcome(film) == ("confirm", "age-unreadable")
    confirmed = judge(film, confirmed=True)
    assert confirmed.decision == "read"
    assert confirmed.notes[0].startswith("age and birth date in the header ")
    assert judge(film, hold_unknown_age=True).code == "age-unreadable"


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientAge": "055Y", "PatientBirthDate": "UNKNOWN"},
        {"PatientAge": "ABCD", "PatientBirthDate": "19600101", "StudyDate": "20240101"},
        {"PatientAge": "45 Y"},
        {"PatientAge": "045J"},
        {"PatientAge": None, "PatientBirthDate": "1960", "StudyDate": "20240101"},
        {"PatientAge": None, "PatientBirthDate": "19600000", "StudyDate": "20240101"},
        {"PatientAge": None, "PatientBirthDate": "1960-05-03", "StudyDate": "20240101"},
        {"PatientAge": None, "PatientBirthDate": "19600503", "StudyDate": "", "SeriesDate": "20240101"},
        {"PatientAge": None, "PatientBirthDate": "19600503", "StudyDate": "20261123"},  # it is tomorrow in the east
    ],
)
def test_an_adult_with_one_usable_age_is_read(attributes: dict[str, Any]) -> None:
    verdict = judge(header(**attributes))
    assert (verdict.decision, verdict.code, verdict.notes) == ("read", "accepted", ())


def test_the_day_of_reception_stands_in_for_the_day_of_the_film_and_the_draft_says_so() -> None:
    grown_up = header(PatientAge=None, PatientBirthDate="19800101")
    verdict = judge(grown_up)
    assert verdict.decision == "read"
    assert verdict.notes == ("the film has no usable date; the age is that of the day it came",)
    assert gate.judge(grown_up, received=date(1990, 1, 1)).code == "child"


def test_the_day_of_reception_says_against_a_told_age_only_that_the_patient_is_younger() -> None:
    assert outcome(header(PatientAge="009Y", PatientBirthDate="20000101")) == ("exclude", "child")
    assert outcome(header(PatientAge="040Y", PatientBirthDate="20200101")) == ("confirm", "age-conflict")


@pytest.mark.parametrize(
    "view",
    [
        *(
            "LL",
            "RL",
            "LATERAL",
            "Lat",
            "LEFT LATERAL",
            "LARGE LATERAL",
            "LAT L",
            "LATERAL CHEST",
            "SEITLICH",
            "PROFIL",
        ),
        *(
            "XTABLE LAT",
            "X-TABLE LAT",
            "CHEST_LAT",
            "LLAT",
            "LATERALE",
            "Seitl.",
            "Perfil",
            ["", "LL"],
            ["LAT", "ERECT"],
        ),
    ],
)
def test_laterals_are_excluded(view: Any) -> None:
    assert outcome(header(ViewPosition=view)) == ("exclude", "lateral")


@pytest.mark.parametrize(
    "view",
    [
        *("PA", "AP", "pa", "P.A.", "A.P.", "PA ERECT", "AP SUPINE", "AP_PORTABLE", "FRONTAL", "POSTERO-ANTERIOR"),
        *(
            "antero posterior",
            "ERECT",
            "UNKNOWN",
            "NOT SPECIFIED",
            "CHEST",
            "",
            None,
            ["PA", ""],
            "PA BILATERAL",
            "FLAT PLATE PA",
        ),
    ],
)
def test_frontal_views_and_those_that_say_nothing_are_read(view: Any) -> None:
    assert outcome(header(ViewPosition=view)) == ("read", "accepted")


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"ViewPosition": "QQ"}, "view-unknown"),
        ({"ViewPosition": "SIDO"}, "view-unknown"),
        ({"ViewPosition": "BILATERAL"}, "view-unknown"),
        ({"ViewCodeSequence": ["local-7", "Sondersicht"]}, "view-unknown"),
        ({"ViewPosition": ["PA", "LAT"]}, "view-conflict"),
        ({"ViewPosition": "AP/LAT"}, "view-conflict"),
        ({"ViewPosition": "AP AXIAL"}, "view-conflict"),
        ({"SeriesDescription": "CHEST LATERAL"}, "view-conflict"),
        ({"SeriesDescription": "Thorax LAT"}, "view-conflict"),
        ({"ProtocolName": "Thorax seitl."}, "view-conflict"),
        ({"StudyDescription": "Xray Chest Oblique Portable"}, "view-conflict"),
        ({"StudyDescription": "Xray Chest Lateral"}, "view-conflict"),
        ({"ProcedureCodeSequence": ["1", "Xray Chest Lateral"]}, "view-conflict"),
        ({"PostprocessingFunction": "NA_chestLAT_auto"}, "view-conflict"),
        ({"AcquisitionDeviceProcessingDescription": "[CHEST,LATERAL]"}, "view-conflict"),
        ({"PatientOrientation": ["P", "A"]}, "view-unknown"),
    ],
)
def test_what_a_header_leaves_open_about_the_view_waits(attributes: dict[str, Any], code: str) -> None:
    film = header(**attributes)
    assert outcome(film) == ("confirm", code)
    assert judge(film, confirmed=True).notes[0].startswith("the ")


@pytest.mark.parametrize(
    "description",
    [
        *("CHEST PA AND LATERAL", "Xray Chest PA and Lateral", "Thorax p.a. und seitlich", "Chest 2 views", "THORAX"),
        *(
            "Thorax face et profil",
            "NA_chestAP_auto",
            "view: PA",
            "Portable chest, flat plate",
            "bilateral lungs",
            "late film",
        ),
        *(
            "Frontal & lateral",
            "thorax à plat",
            "TÓRAX FRENTE Y PERFIL",
            "beide Seiten",
            "Torace in decubito supino",
            "Quality profile 3",
        ),
    ],
)
def test_descriptions_of_both_views_and_of_none_keep_no_film_back(description: str) -> None:
    film = header(SeriesDescription=description, StudyDescription=description, ProtocolName=description)
    assert outcome(film) == ("read", "accepted")


@pytest.mark.parametrize(
    "ordered",
    ["CHEST WITH LATERAL", "XR CHEST 1V + LAT", "Thorax in 2 Ebenen (seitl.)", "RX TORAX CON PERFIL", "Thorax & Lat"],
)
def test_an_order_for_a_lateral_as_well_keeps_no_frontal_film_back(ordered: str) -> None:
    film = header(ViewPosition="PA", StudyDescription=ordered, RequestedProcedureDescription=ordered)
    assert outcome(film) == ("read", "accepted")
    assert outcome(header(ViewPosition="PA", SeriesDescription=ordered)) == ("confirm", "view-conflict")


@pytest.mark.parametrize("attributes", [{"PatientBirthDate": "00000000"}, {"PatientBirthDate": "99999999"}, {}])
@pytest.mark.parametrize("age", ["", "UNK", "ABCD"])
def test_what_devices_write_for_an_unknown_age_is_unknown(attributes: dict[str, Any], age: str) -> None:
    film = header(**({"PatientAge": age} | attributes))
    assert outcome(film) == ("read", "accepted")
    assert judge(film).notes == ("the age is unknown; taken for an adult",)
    assert judge(film, hold_unknown_age=True).code == "age-unknown"


@pytest.mark.parametrize(
    ("code", "meaning", "expected"),
    [
        ("399173006", "Seitliche Projektion", ("exclude", "lateral")),
        ("399173006", "", ("exclude", "lateral")),
        ("R-10236", "", ("exclude", "lateral")),
        ("399198007", "rechts", ("exclude", "lateral")),
        ("399067008", "", ("exclude", "lateral")),
        ("local", "Thorax links anliegend seitlich", ("exclude", "lateral")),
        ("399135007", "", ("exclude", "not-frontal")),
        ("local", "lateral decubitus", ("exclude", "not-frontal")),
        ("272479007", "", ("read", "accepted")),
        ("R-10214", "postero-anterior", ("read", "accepted")),
        ("R-10206", "", ("read", "accepted")),
        ("local", "Thorax p.a.", ("read", "accepted")),
    ],
)
def test_views_in_codes_and_in_words(code: str, meaning: str, expected: tuple[str, str]) -> None:
    assert outcome(header(ViewPosition=None, ViewCodeSequence=[code, meaning])) == expected


def test_the_codes_of_views_are_those_of_the_standard() -> None:
    meanings: dict[str, set[str]] = defaultdict(set)
    table: Any = concepts["SCT"]
    for concept in table.values():
        for number, (meaning, _) in concept.items():
            meanings[number].add(meaning.lower())
    for codes, telling in (
        (views._LATERAL_CODES, ("lateral", "latero", "sagittal")),
        (views._OTHER_CODES, ("oblique", "axial", "tangential", "caud")),
        (views._FRONTAL_CODES, ("frontal", "antero-posterior", "postero-anterior")),
    ):
        named = {code: meanings[mapping["SRT"].get(code, code)] for code in codes - {"R-10214"}}  # of an older version
        assert {code for code, said in named.items() if not any(word in str(said) for word in telling)} == set()


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (["L", "F"], ("read", "accepted")),
        (["LF", "FR"], ("read", "accepted")),
        (None, ("read", "accepted")),
        (["", ""], ("read", "accepted")),
        (["X", "Y"], ("read", "accepted")),  # names no direction; the pixels' note tells it
        (["A", "F"], ("exclude", "lateral")),
        (["P", "F"], ("exclude", "lateral")),
        (["F", "A"], ("exclude", "lateral")),
        (["L", "P"], ("exclude", "not-frontal")),
        (["R", "F"], ("confirm", "looks-mirrored")),
        (["L", "H"], ("confirm", "looks-mirrored")),
        (["F", "L"], ("confirm", "looks-mirrored")),
        (["R", "H"], ("confirm", "looks-rotated")),
        (["F", "R"], ("confirm", "looks-rotated")),
        (["H", "L"], ("confirm", "looks-rotated")),
    ],
)
def test_how_a_film_lies(orientation: list[str] | None, expected: tuple[str, str]) -> None:
    film = header(PatientOrientation=orientation)
    assert outcome(film) == expected
    assert outcome(header(PatientOrientation=orientation, ViewPosition=None)) == expected
    if expected[0] == "confirm":
        assert "by its Patient Orientation" in judge(film, confirmed=True).notes[0]


def test_other_views() -> None:
    assert outcome(header(ViewPosition="LLD")) == ("exclude", "not-frontal")
    assert outcome(header(ViewPosition="RAO")) == ("exclude", "not-frontal")
    assert outcome(header(ViewPosition=None, ViewCodeSequence=[code("1", "Left lateral")])) == ("exclude", "lateral")
    assert outcome(header(ViewPosition="AP")) == ("read", "accepted")
    assert outcome(header(ViewPosition=None)) == ("read", "accepted")


def test_animals_are_excluded_and_humans_who_say_so_are_not() -> None:
    assert outcome(header(PatientSpeciesDescription="Canis familiaris")) == ("exclude", "animal")
    assert outcome(header(PatientSpeciesCodeSequence=[code("448771007", "dog")])) == ("exclude", "animal")
    assert outcome(header(PatientBreedDescription="Beagle")) == ("exclude", "animal")
    assert outcome(header(PatientSpeciesDescription="Homo sapiens")) == ("read", "accepted")
    assert outcome(header(PatientSpeciesCodeSequence=[code("337915000", "human")])) == ("read", "accepted")


def test_frames_and_missing_images() -> None:
    assert outcome(header(NumberOfFrames=2)) == ("exclude", "multi-frame")
    assert outcome(header(NumberOfFrames=1)) == ("read", "accepted")
    assert outcome(header(Rows=None)) == ("exclude", "no-pixels")
    assert outcome(header(QualityControlImage="YES")) == ("exclude", "quality-control")


@pytest.mark.parametrize(
    "attributes", [{"PatientAge": "005Y"}, {"BodyPartExamined": "HAND"}, {"ViewPosition": "LL"}, {"NumberOfFrames": 9}]
)
def test_a_confirmation_overrules_no_exclusion(attributes: dict[str, Any]) -> None:
    assert judge(header(**attributes), confirmed=True).decision == "exclude"


def test_a_confirmed_film_says_so() -> None:
    assert judge(header(BodyPartExamined=None), confirmed=True).code == "confirmed"
    assert judge(header(), confirmed=True).code == "accepted"


def test_no_explanation_holds_what_the_header_says() -> None:
    secret = "Müller^Hans"
    for attributes in ({"BodyPartExamined": secret}, {"ViewPosition": "LL"}, {"PatientAge": "005Y"}):
        verdict = judge(header(PatientName=secret, PatientID="4711", **attributes))
        assert secret not in verdict.explanation
        assert "4711" not in verdict.explanation


@pytest.mark.parametrize(
    ("attributes", "phrase"),
    [
        ({"BodyPartExamined": None}, "body part not in the header"),
        ({"BodyPartExamined": "GIBBERISH"}, "body part in the header not known"),
        (
            {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"},
            "a Secondary Capture that does not say that it is a radiograph",
        ),
        (
            {"PatientAge": "040Y", "PatientBirthDate": "20200101", "StudyDate": "20240601"},
            "age and birth date in the header disagree about an adult",
        ),
    ],
)
def test_a_draft_says_which_doubt_a_person_overruled(attributes: dict[str, Any], phrase: str) -> None:
    notes = judge(header(**attributes), confirmed=True).notes

    assert notes == (phrase, "confirmed as a frontal adult chest film by a person")


def test_every_doubt_is_told_before_and_after_it_is_overruled() -> None:
    film = header(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", BodyPartExamined=None, PatientAge=None)

    asked, answered = judge(film), judge(film, confirmed=True)

    assert asked.code == "secondary-capture"
    assert "Secondary Capture" in asked.explanation
    assert "The body part is absent" in asked.explanation
    assert answered.notes == (
        "a Secondary Capture that does not say that it is a radiograph",
        "body part not in the header",
        "confirmed as a frontal adult chest film by a person",
        "the age is unknown; taken for an adult",
    )


def test_the_demonstration_is_no_person_and_a_person_is_not_named() -> None:
    film = header(BodyPartExamined=None)

    assert (
        judge(film, confirmed=True, by="demo").notes[1]
        == "confirmed as a frontal adult chest film by the demonstration"
    )
    assert "jane" not in str(judge(film, confirmed=True, by="person:jane"))


def test_text_burnt_into_a_secondary_capture_waits_for_a_person() -> None:
    capture = "1.2.840.10008.5.1.4.1.1.7"
    assert judge(header(SOPClassUID=capture, Modality="CR", BurnedInAnnotation="YES")).code == "burnt-in-text"
    assert judge(header(SOPClassUID=capture, Modality="CR", BurnedInAnnotation="NO")).decision == "read"
    assert judge(header(BurnedInAnnotation="YES")).decision == "read"  # every marker of a CR may be called so


def test_an_overruled_exclusion_is_none_and_another_still_is() -> None:
    child = header(PatientAge="009Y")
    assert judge(child, overruled=frozenset({"child"})).decision == "read"
    assert judge(child, overruled=frozenset({"child"})).notes == (
        "read although excluded (child): a person overruled it",
    )
    assert judge(child, overruled=frozenset({"lateral"})).code == "child"
    assert judge(header(PatientAge="009Y", ViewPosition="LL"), overruled=frozenset({"child"})).code == "lateral"


def test_an_overruled_exclusion_leaves_doubts_in_force() -> None:
    doubtful = header(PatientAge="009Y", BodyPartExamined=None)
    assert judge(doubtful, overruled=frozenset({"child"})).code == "body-part-unknown"
    assert judge(doubtful, overruled=frozenset({"child"}), confirmed=True).decision == "read"


def test_an_unknown_age_is_a_doubt_only_where_the_site_wants_it() -> None:
    unknown = header(PatientAge=None, PatientBirthDate=None)
    assert judge(unknown).decision == "read"
    assert judge(unknown, hold_unknown_age=True).code == "age-unknown"
    assert judge(header(PatientAge="044Y"), hold_unknown_age=True).decision == "read"
