"""What a worklist shows of a draft at a glance."""

from __future__ import annotations

from pydicom import Dataset

from reports.findings import extract
from reports.glance import Glance, Urgency, glance_of, marked, unmarked


def of(text: str, *films: Dataset) -> Glance:
    return glance_of(extract(text).by_label.values(), films)


def test_pneumothorax_is_critical_and_a_doubtful_one_comes_next() -> None:
    assert of("There is a large left pneumothorax.").urgency == Urgency.CRITICAL
    assert of("A small pneumothorax cannot be excluded.").urgency == Urgency.DOUBTFUL
    assert of("No pneumothorax.").urgency == Urgency.PLAIN


def test_most_urgent_finding_counts() -> None:
    glance = of("Cardiomegaly. There is a right pneumothorax. Pulmonary edema.")

    assert glance.urgency == Urgency.CRITICAL
    assert set(unmarked(glance.present)) == {"Cardiomegaly", "Pneumothorax", "Edema"}


def test_absent_findings_are_not_kept_and_uncertain_ones_are_apart() -> None:
    glance = of("No pleural effusion. Possible pneumonia.")

    assert "Pleural Effusion" not in glance.present + glance.uncertain
    assert unmarked(glance.uncertain) == ("Pneumonia",)


def test_one_finding_with_two_labels_is_named_once() -> None:
    assert unmarked(of("There is a small right pleural effusion.").present) == ("Pleural Effusion",)


def test_what_the_header_lacks_or_hides_is_empty_or_printable() -> None:
    film = Dataset()
    film.Modality = "DX"
    film.StationName = "ROOM\x1b[31m7"

    glance = of("Clear lungs.", Dataset(), film)

    assert (glance.modality, glance.view, glance.station) == ("DX", "", "ROOM[31m7")


def test_labels_survive_the_way_into_a_row_and_out_of_it() -> None:
    assert unmarked(marked(["Edema", "Lung Lesion"])) == ("Edema", "Lung Lesion")
    assert unmarked(marked([])) == ()
