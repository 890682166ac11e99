"""One dress for all texts: looks tell nothing, and no word about the film is lost."""

from __future__ import annotations

import pytest

from agent.evaluation.blinding import dress, refusal
from reports.text import MAXIMUM_BYTES, TextRefused

SAME = "The heart is mildly enlarged. No pneumothorax. Cardiomegaly."


@pytest.mark.parametrize(
    "written",
    [
        SAME,
        "FINDINGS: The heart is mildly enlarged. No pneumothorax.\nIMPRESSION: Cardiomegaly.",
        "FINDINGS:\nTHE HEART IS MILDLY ENLARGED. NO PNEUMOTHORAX.\n\nIMPRESSION:\nCARDIOMEGALY.",
        "FINDINGS: THE HEART IS MILDLY ENLARGED. NO PNEUMOTHORAX IMPRESSION: CARDIOMEGALY",
        "Findings\nThe heart is mildly enlarged\n\nNo pneumothorax\nImpression\nCardiomegaly",
        "**Findings:** The heart is\nmildly enlarged.  No pneumothorax .\r\n**Impression:** Cardiomegaly",
        "- The heart is mildly enlarged\n- No pneumothorax\n- Cardiomegaly",
        "1. The heart is mildly enlarged.\n2) No pneumothorax.\nConclusion: Cardiomegaly..",
        "FINAL REPORT\nEXAMINATION: Chest PA\nINDICATION: Cough in a man of 60.\nTECHNIQUE: One view.\n"
        "COMPARISON: 2019.\nFINDINGS: The heart is mildly enlarged. No pneumothorax.\nIMPRESSION: Cardiomegaly.",
        "AI-GENERATED DRAFT - NOT VERIFIED\nDEMONSTRATION MODEL - NOT FOR CLINICAL USE\n" + SAME,
        SAME + "\nElectronically signed by Dr. Somebody on 01/02/2020 10:31.",
        SAME + "\nDictated by: S. Body, M.D.",
        "the heart is mildly enlarged.no pneumothorax. cardiomegaly",
    ],
)
def test_however_it_was_written_it_looks_alike(written: str) -> None:
    assert dress(written).text == SAME
    assert dress(written).tells == ()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (
            "FINDINGS: Large right pneumothorax. Findings were reported by telephone to the ward.\n"
            "IMPRESSION: As above.",
            "Large right pneumothorax. Findings were reported by telephone to the ward. As above.",
        ),
        (
            "INDICATION: Cough.\n\nCOMPARISON: None.\n\nThe heart is enlarged. Large right pneumothorax.\n\n"
            "IMPRESSION: As above.",
            "The heart is enlarged. Large right pneumothorax. As above.",
        ),
        (
            "Portable chest. Comparison: 3/4/2019. Large right pneumothorax.",
            "Portable chest. Large right pneumothorax.",
        ),
        (
            "FINDINGS: Clear.\nIMPRESSION: Normal.\nADDENDUM: There is a small right apical pneumothorax, "
            "not mentioned above.",
            "Clear. Normal. There is a small right apical pneumothorax, not mentioned above.",
        ),
        ("FINAL REPORT\nThe heart is enlarged.\nIMPRESSION: Stable.", "The heart is enlarged. Stable."),
        ("COMPARISON: None. Rib fracture. IMPRESSION: As above.", "Rib fracture. As above."),
        ("COMPARISON: None\nRib fracture. Clear lungs.", "Rib fracture. Clear lungs."),
        ("FINDINGS: Clear lungs.\nCOMPARISON: None.\nRib fracture.", "Clear lungs. Rib fracture."),
        ("Clear lungs. Radiologist: Dr. A. Miller. Rib fracture.", "Clear lungs. Rib fracture."),
        ("INDICATION: Cough.\nFever. Chills\nFINDINGS: Clear.", "Clear."),
    ],
)
def test_findings_stay_wherever_they_stand(written: str, shown: str) -> None:
    assert (dress(written).text, dress(written).lost) == (shown, 0)


@pytest.mark.parametrize(
    ("written", "shown", "lost"),
    [
        (
            "FINDINGS: Lungs are clear. Agree with the wet read. New left rib fracture.\nIMPRESSION: Rib fracture.",
            "Lungs are clear. New left rib fracture. Rib fracture.",
            5,
        ),
        ("Clear lungs. Rib fracture was signed by Dr. A. Miller, M.D. Effusion.", "Clear lungs.", 11),
        (SAME + "\nElectronically signed by Dr. Somebody. Effusion.", SAME + " Effusion.", 5),
        ("AI-GENERATED DRAFT - NOT VERIFIED\n" + SAME, SAME, 5),
    ],
)
def test_words_that_go_with_a_signature_or_a_banner_are_counted(written: str, shown: str, lost: int) -> None:
    assert (dress(written).text, dress(written).lost) == (shown, lost)


def test_a_long_text_takes_no_long_time() -> None:
    assert dress("x " * 30000).words == 30000


def test_what_names_a_place_in_the_chest_is_no_heading() -> None:
    assert dress("Lungs: clear. Heart: normal.").text == "Lungs: clear. Heart: normal."
    assert dress("Recommendation: CT of the chest.").text == "CT of the chest."


def test_abbreviations_keep_their_capitals() -> None:
    written = "A PICC ENDS IN THE SVC. PATIENT'S ET TUBE IS HIGH."
    assert dress(written).text == "A PICC ends in the SVC. Patient's ET tube is high."
    assert dress("A PICC ends in the SVC.").text == "A PICC ends in the SVC."


def test_a_dressed_text_stays_as_it_is() -> None:
    for written in (SAME, "A 2.5 cm nodule; follow-up CT.", "C/W edema, e.g. of the heart."):
        assert dress(dress(written).text).text == dress(written).text


@pytest.mark.parametrize(
    ("written", "tell"),
    [
        ("XXXX opacity.", "marks of de-identification"),
        ("Compared to ___, stable.", "marks of de-identification"),
        ("As of 3/4/2019 clear.", "a date or a clock time"),
        ("Seen at 10:31.", "a date or a clock time"),
        ("Number 12345678.", "a long number"),
        ("Discussed with Dr. Miller.", "a title or a name"),
        ("Discussed with the ward.", "a call to somebody"),
        ("As an AI I see no edema.", "words of a machine"),
        ("Unchanged from the prior film.", "a comparison or a history"),
    ],
)
def test_what_may_tell_is_told(written: str, tell: str) -> None:
    assert tell in dress(written).tells


def test_what_has_no_words_is_refused() -> None:
    assert refusal(SAME) == ""
    assert refusal("** **\n--") == "empty-text"
    assert refusal("INDICATION: cough.") == "empty-text"
    assert refusal("lost \ufffd bytes") == "undecodable-text"
    with pytest.raises(TextRefused):
        dress("x" * (MAXIMUM_BYTES + 1))
