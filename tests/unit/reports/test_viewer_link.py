"""The address of the site's own viewer: filled in safely, and refused at the start where nobody could open it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import read_config
from dicom_node.errors import ConfigurationError
from reports.viewer_link import ViewerLink

OHIF = "https://ohif.example/viewer?StudyInstanceUIDs={study_instance_uid}"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (OHIF, "https://ohif.example/viewer?StudyInstanceUIDs=1.2.3"),
        ("http://10.0.0.5:8042/a/{accession_number}#x", "http://10.0.0.5:8042/a/A%2F1%26b%3D%3F%23%20%22#x"),
        ("weasis://?%24dicom%3Ars%20-r%20%22studyUID%3D{study_instance_uid}%22", None),
        (
            "osirix://?methodName=displayStudy&patientID={patient_id}",
            "osirix://?methodName=displayStudy&patientID=%C3%89",
        ),
        ("radiant://?n=paet&v=PACS&n=pstv&v=0020000D&v={study_instance_uid}", None),
    ],
)
def test_places_are_filled_in_so_that_values_stay_values(template: str, expected: str | None) -> None:
    address = ViewerLink(template).to("1.2.3", 'A/1&b=?# "', "É")

    assert address == (expected or template.replace("{study_instance_uid}", "1.2.3"))


def test_a_study_that_lacks_what_the_address_needs_has_no_link() -> None:
    assert ViewerLink("https://pacs.example/{accession_number}").to("1.2.3", "", "P") == ""
    assert ViewerLink("https://pacs.example/{patient_id}/x").to("1.2.3", "A", "..") == ""
    assert ViewerLink(OHIF).to("1.2.3", "", "") != ""


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("javascript:alert('{patient_id}')", "characters"),
        ("javascript:alert({patient_id})", "must begin with"),
        ("data:text/html,{patient_id}", "must begin with"),
        ("file:///studies/{study_instance_uid}", "must begin with"),
        ("//pacs.example/{study_instance_uid}", "must begin with"),
        ("https:///x/{study_instance_uid}", "no host"),
        ("https://{patient_id}.example/", "before its first slash"),
        ("https://user:secret@pacs.example/{study_instance_uid}", "before its first slash"),
        ("https://pacs.example/studies", "names no study"),
        ("https://pacs.example/{name}", "no place {name}"),
        ("https://pacs.example/{study_instance_uid.__class__}", "no place"),
        ("https://pacs.example/{study_instance_uid!r}", "nothing else"),
        ("https://pacs.example/{study_instance_uid:>99}", "nothing else"),
        ("https://pacs.example/{study_instance_uid", "do not match"),
        ("https://pacs.example/ {study_instance_uid}", "characters"),
        ("https://pacs.example/\n{study_instance_uid}", "characters"),
        ("https://[pacs/{study_instance_uid}", "no address"),
    ],
)
def test_an_address_that_leads_nowhere_or_elsewhere_is_refused(template: str, words: str) -> None:
    with pytest.raises(ValueError, match="viewer") as caught:
        ViewerLink(template)
    assert words in str(caught.value)


def test_a_wrong_address_ends_every_process_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "wetread.toml"
    file.write_text(f'[web]\nviewer_link = "{OHIF}"\n')
    assert read_config(file).web.viewer_link == OHIF

    file.write_text('[web]\nviewer_link = "https://pacs.example/"\n')
    with pytest.raises(ConfigurationError, match=r"web\.viewer_link: the viewer's address names no study"):
        read_config(file)
