"""Which headers are read, excluded, or wait for a person."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from agent.imaging.gate import judge


def header(**attributes: Any) -> Dataset:
    dataset = Dataset()
    usual = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "PatientAge": "055Y",
        "ViewPosition": "PA",
        "Rows": 2500,
        "Columns": 2048,
    }
    for name, value in (usual | attributes).items():
        if value is not None:
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
        {"PatientAge": "999Y"},
        {"PatientAge": None, "PatientBirthDate": "18000101", "StudyDate": "20240101"},
        {"PatientAge": None, "PatientBirthDate": "20250101", "StudyDate": "20240101"},
        {"PatientAge": None, "PatientBirthDate": "19800101"},
    ],
)
def test_an_unknown_age_is_accepted_and_told(attributes: dict[str, Any]) -> None:
    verdict = judge(header(**attributes))
    assert verdict.decision == "read"
    assert verdict.notes == ("the age is unknown; taken for an adult",)


@pytest.mark.parametrize("view", ["LL", "RL", "LATERAL", "Lat", "LEFT LATERAL"])
def test_laterals_are_excluded(view: str) -> None:
    assert outcome(header(ViewPosition=view)) == ("exclude", "lateral")


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
