"""What a sentence says of a finding. The sentences are made up."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.findings import LABELS, Findings, State, extract

PRESENT, ABSENT, UNCERTAIN = State.PRESENT, State.ABSENT, State.UNCERTAIN


VOCABULARY = (
    "no|not|without|or|and|,|.|:|;|?|\n|-|effusion|pneumonia|heart|enlarged|normal|left|mild|cannot|be|excluded|versus|"
    "FINDINGS:|INDICATION:|[x]|[ ]|y|n|/|yes|small|scar|İ|is|seen|may|represent|resolved"
)
ROWS = (
    *("no ", "effusion ", "no effusion or ", "heart ", "heart, ", "left ", " ", "\n", ".", ". ", "FINDINGS: ", "["),
    *(
        "a",
        "\t",
        "INDICATION:",
        "İ",
        "?",
        ";",
        "is not ",
        "left effusion ",
        "heart enlarged ",
        "\n\t",
        "reason for ",
        ": no ",
        "y/n ",
        "y/n: n ",
        "y n ",
        "[x] ",
        "[ ] effusion ",
        "effusion left [x] ",
        "yes [ ] ",
        "left small. ",
        "left none.\n",
        "right no effusion left yes ",
        "yes, left no ",
        "effusion none on the right, ",
        "no effusion in the ",
        "normal [ ] enlarged [x] ",
        "n effusion y ",
        "no effusion today. yesterday ",
        "none of the effusion is new ",
        "effusion, shift not seen, ",
        "effusion, which has resolved, ",
        "effusion seen before, no effusion, ",
        "no effusion, now small, ",
        "neither effusion is new ",
        "effusion small edema none ",
        "effusion. It has resolved. ",
        "tip of the tube not seen ",
        "(normal / enlarged ",
        "(none, small): ",
        "PTX 0 effusion 2 ",
        "effusion, none on the left, ",
        "no effusion is seen or ",
        "no cavity in the left ",
        "effusion, gone, ",
        "bilateral effusions, left resolved, ",
        "heart normal, now enlarged, ",
        "fracture of the left tube ",
    ),
)


def states(text: str) -> dict[str, str]:
    return {label: finding.state.value for label, finding in extract(text).by_label.items()}


@pytest.mark.parametrize(
    ("text", "label", "state"),
    [
        ("Left lower lobe pneumonia.", "Pneumonia", PRESENT),
        ("Small pleural effusion on the right.", "Pleural Effusion", PRESENT),
        ("The cardiac silhouette is markedly enlarged.", "Cardiomegaly", PRESENT),
        ("Enlarged heart.", "Cardiomegaly", PRESENT),
        ("Widened mediastinum.", "Enlarged Cardiomediastinum", PRESENT),
        ("Old healed rib fractures.", "Fracture", PRESENT),
        ("PICC line ends in the superior vena cava.", "Support Devices", PRESENT),
        ("Biapical pleural thickening.", "Pleural Other", PRESENT),
        ("Diffuse airspace disease.", "Lung Opacity", PRESENT),
        ("Cavitary lesion in the apex.", "Lung Lesion", PRESENT),
        ("Mild interstitial edema.", "Edema", PRESENT),
        ("Pulmonary fibrosis.", "Fibrosis", PRESENT),
        ("Emphysematous changes.", "Emphysema", PRESENT),
        ("Moderate hiatal hernia.", "Hernia", PRESENT),
        ("Platelike atelectatic change.", "Atelectasis", PRESENT),
        ("Resolving pneumonia.", "Pneumonia", PRESENT),
        ("Opacity consistent with consolidation.", "Consolidation", PRESENT),
        ("Bibasilar ateelectasis and atelectesis.", "Atelectasis", PRESENT),
        ("No pneumothorax.", "Pneumothorax", ABSENT),
        ("There is no evidence of a pneumothorax.", "Pneumothorax", ABSENT),
        ("Pneumothorax is not identified.", "Pneumothorax", ABSENT),
        ("No focal consolidation, large effusion, or pneumothorax.", "Pneumothorax", ABSENT),
        ("Left pneumothorax, no right effusion.", "Pleural Effusion", ABSENT),
        ("No effusion, no mild edema.", "Edema", ABSENT),
        ("No new or enlarging nodule.", "Nodule", UNCERTAIN),
        ("There is no consolidation, effusion, or a pneumothorax.", "Pneumothorax", ABSENT),
        ("No consolidation, or mild edema.", "Edema", ABSENT),
        ("Neither effusion nor consolidation.", "Consolidation", ABSENT),
        ("Lungs are clear of infiltrate or edema.", "Edema", ABSENT),
        ("The lungs are free of nodules.", "Nodule", ABSENT),
        ("Negative for pneumonia.", "Pneumonia", ABSENT),
        ("The left effusion has resolved.", "Pleural Effusion", ABSENT),
        ("Interval resolution of the pneumothorax.", "Pneumothorax", ABSENT),
        ("The effusion is no longer seen.", "Pleural Effusion", ABSENT),
        ("The chest tube has been removed.", "Support Devices", ABSENT),
        ("Heart size is normal.", "Cardiomegaly", ABSENT),
        ("Heart: normal.", "Cardiomegaly", ABSENT),
        ("The heart is not enlarged.", "Cardiomegaly", ABSENT),
        ("Heart at the upper limits of normal in size.", "Cardiomegaly", ABSENT),
        ("Normal heart and mediastinum.", "Enlarged Cardiomediastinum", ABSENT),
        ("No opacity to suggest pneumonia.", "Pneumonia", ABSENT),
        ("Pneumothorax: none", "Pneumothorax", ABSENT),
        ("Possible pneumonia.", "Pneumonia", UNCERTAIN),
        ("Pneumonia cannot be excluded.", "Pneumonia", UNCERTAIN),
        ("Cannot rule out a small pneumothorax.", "Pneumothorax", UNCERTAIN),
        ("Opacity that may represent pneumonia.", "Pneumonia", UNCERTAIN),
        ("Atelectasis versus pneumonia.", "Atelectasis", UNCERTAIN),
        ("Pneumonia or atelectasis.", "Pneumonia", UNCERTAIN),
        ("Suspicious for a hilar mass.", "Mass", UNCERTAIN),
        ("Probable trace effusion.", "Pleural Effusion", UNCERTAIN),
        ("Likely atelectasis.", "Atelectasis", UNCERTAIN),
        ("Cannot completely exclude a small effusion.", "Pleural Effusion", UNCERTAIN),
        ("Recommend CT to exclude a mass.", "Mass", UNCERTAIN),
        ("Minimal, if any, effusion.", "Pleural Effusion", UNCERTAIN),
        ("Pneumonia: possible.", "Pneumonia", UNCERTAIN),
        ("May represent pneumonia, mild edema or atelectasis.", "Edema", UNCERTAIN),
        ("Pneumonia is unlikely.", "Pneumonia", UNCERTAIN),
        ("Pneumonia is a possibility.", "Pneumonia", UNCERTAIN),
        ("Borderline heart size.", "Cardiomegaly", UNCERTAIN),
        ("? effusion", "Pleural Effusion", UNCERTAIN),
        ("Is this pneumonia?", "Pneumonia", UNCERTAIN),
        ("Compatible with pneumonia in the appropriate clinical setting.", "Pneumonia", UNCERTAIN),
        ("Changes suggesting infection.", "Pneumonia", UNCERTAIN),
    ],
)
def test_the_state_is_what_the_sentence_says(text: str, label: str, state: State) -> None:
    assert extract(text).by_label[label].state is state


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("No pneumothorax; cardiomegaly is stable.", "Cardiomegaly"),
        ("No effusion, but there is consolidation.", "Consolidation"),
        ("No pneumothorax. Mild edema.", "Edema"),
        ("No pneumonia, the heart is enlarged.", "Cardiomegaly"),
        ("No change in the left effusion.", "Pleural Effusion"),
        ("Without interval change in the nodule.", "Nodule"),
        ("The pneumothorax has not resolved.", "Pneumothorax"),
        ("Nearly resolved left effusion.", "Pleural Effusion"),
        ("No effusion is seen, mild cardiomegaly.", "Cardiomegaly"),
        ("There is no pneumothorax and the left chest tube is in place.", "Support Devices"),
        ("Atelectasis or scarring in the left base.", "Atelectasis"),
        ("Small effusion has increased and the pneumothorax has resolved.", "Pleural Effusion"),
        ("No evidence of pneumothorax, and the endotracheal tube is in place.", "Support Devices"),
        ("Rather than pneumonia, this represents atelectasis.", "Atelectasis"),
        ("Possible pneumonia, mild cardiomegaly.", "Cardiomegaly"),
        ("Effusion. No fracture or\nPneumothorax.", "Effusion"),
        ("NO EFFUSION\n\nCARDIOMEGALY", "Cardiomegaly"),
        ("- No effusion\n- Cardiomegaly", "Cardiomegaly"),
        ("No effusion\nCardiomegaly", "Cardiomegaly"),
    ],
)
def test_a_negation_does_not_reach_beyond_its_clause(text: str, label: str) -> None:
    assert extract(text).by_label[label].state is PRESENT


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "Pericardial effusion.",
        "Mass effect on the trachea.",
        "Evaluate for pneumothorax.",
        "History of pneumonia.",
        "INDICATION: pneumonia, effusion. COMPARISON: none",
        "Aucun épanchement pleural. Cardiomégalie modérée.",
        "Kein Pleuraerguss, kein Pneumothorax nachweisbar.",
        "Pneumothorax. Kein Erguss. Herz nicht vergrößert.",
        "No hay edema. Sin fractura, consolidación ni hernia.",
        "Pas de fracture, pas de consolidation.",
        "Sin fractura.",
        "Sem consolidação.",
        "No se observa edema.",
        "Nie ma pneumothorax.",
        "Ingen pneumothorax.",
        "Det er ikke pneumothorax.",
        "Le pneumothorax est en régression, pas de fracture.",
        "Pneumothorax und Infiltrat sind verschwunden.",
        "Pas d'edema, une consolidation dans les champs.",
        "흉수 없음. 심비대 소견.",
        "لا يوجد انصباب",
        "\ud800\x00\uffff",
        "4711 4711 4711",
    ],
)
def test_nothing_is_found_where_nothing_is_said(text: str) -> None:
    assert extract(text) == Findings((), extract("").by_label)
    assert not extract(text).by_label


def test_not_mentioned_is_not_absent() -> None:
    assert "Pneumothorax" not in extract("Small left effusion. Heart size is normal.").by_label


def test_the_indication_is_no_evidence_and_the_findings_are() -> None:
    text = "INDICATION: Rule out pneumonia, known effusion.\nFINDINGS: No pneumonia. IMPRESSION: Cardiomegaly."

    assert states(text) == {
        "Cardiomegaly": "present",
        "Pneumonia": "absent",
    }


def test_spans_are_the_very_words_in_the_text_as_given() -> None:
    text = "İİ ß. Patchy opacity;\nNO  Pleural\n effusion. Pneumonia cannot be\texcluded."

    mentions = {mention.concept: mention for mention in extract(text).mentions}

    assert [text[slice(*span)] for span in mentions["effusion"].words] == ["Pleural\n effusion"]
    assert [text[slice(*span)] for span in mentions["effusion"].cues] == ["NO"]
    assert text[slice(*mentions["effusion"].sentence)] == "NO  Pleural\n effusion"
    assert [text[slice(*span)] for span in mentions["pneumonia"].cues] == ["cannot be\texcluded"]


def test_a_described_heart_has_both_its_words_as_evidence() -> None:
    text = "The heart remains mildly enlarged."

    (mention,) = extract(text).mentions

    assert [text[slice(*span)] for span in mention.words] == ["heart", "enlarged"]
    assert mention.cues == ()


@pytest.mark.parametrize(
    ("text", "label", "side", "severity"),
    [
        ("Moderate right pleural effusion with adjacent atelectasis.", "Pleural Effusion", "right", "moderate"),
        ("Moderate right pleural effusion with adjacent atelectasis.", "Atelectasis", None, None),
        ("Trace bilateral pleural effusions.", "Pleural Effusion", "bilateral", "minimal"),
        ("Small effusion is seen on the left.", "Pleural Effusion", "left", "mild"),
        ("Opacities in the right upper lobe and left lower lobe.", "Lung Opacity", "bilateral", None),
        ("Left effusion. Large right effusion.", "Pleural Effusion", "bilateral", "severe"),
        ("No left effusion. Right effusion.", "Pleural Effusion", "right", None),
        ("No large effusion.", "Pleural Effusion", None, None),
        ("Left effusion, small.", "Pleural Effusion", "left", "mild"),
        ("The heart is enlarged, mild left edema.", "Cardiomegaly", None, None),
        ("Moderate to severe edema.", "Edema", None, "severe"),
        ("The heart is mildly enlarged, left effusion.", "Cardiomegaly", None, "mild"),
        ("No pneumothorax and a left chest tube.", "Pneumothorax", None, None),
        ("Right effusion resolved; left small.", "Pleural Effusion", "left", None),
        ("Right effusion has resolved and left persists.", "Pleural Effusion", "left", None),
        ("Effusions: Right: none. Left: small.", "Pleural Effusion", "left", None),
        ("Effusion absent on the right, present on the left.", "Pleural Effusion", "left", None),
        ("Right effusion, left none.", "Pleural Effusion", "right", None),
        ("Right no effusion, left yes.", "Pleural Effusion", "left", None),
        ("Right no effusion left yes", "Pleural Effusion", "left", None),
        ("Bilateral effusions: left resolved, right persists.", "Pleural Effusion", "right", None),
        ("Not only the left but also the right lung shows consolidation.", "Consolidation", "bilateral", None),
    ],
)
def test_side_and_severity_belong_to_their_finding(
    text: str, label: str, side: str | None, severity: str | None
) -> None:
    finding = extract(text).by_label[label]

    assert (finding.laterality, finding.severity) == (side, severity)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Effusion. No effusion. Possible effusion.", PRESENT),
        ("No effusion. Possible effusion.", UNCERTAIN),
        ("No effusion. Without effusion.", ABSENT),
    ],
)
def test_present_outweighs_uncertain_and_uncertain_outweighs_absent(text: str, state: State) -> None:
    assert extract(text).by_label["Pleural Effusion"].state is state


def test_every_mention_is_kept_and_a_contradiction_shows() -> None:
    finding = extract("Left effusion. Later: no effusion.").by_label["Effusion"]

    assert [mention.state for mention in finding.mentions] == [PRESENT, ABSENT]
    assert [mention.state for mention in finding.evidence] == [PRESENT]
    assert finding.contradicts_itself
    assert not extract("Left effusion. Right effusion.").by_label["Effusion"].contradicts_itself


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("No acute cardiopulmonary abnormality.", "present"),
        ("The lungs are clear. Right chest port in place.", "present"),
        ("No effusion, pneumothorax or consolidation.", "present"),
        ("No acute cardiopulmonary abnormality. Scoliosis.", None),
        ("Lungs are clear. Possible fracture.", None),
        ("No effusion.", None),
        ("Lungs are clear. Heart normal. Kein Erguss.", None),
    ],
)
def test_no_finding_needs_words_for_it_and_nothing_abnormal(text: str, state: str | None) -> None:
    assert states(text).get("No Finding") == state
    assert states(text).get("normal") == state


def test_both_label_sets_say_the_same_in_their_own_spelling() -> None:
    found = states("Left effusion. Right infiltrate. Lung nodule. No pleural thickening.")

    assert found["Pleural Effusion"] == found["Effusion"] == "present"
    assert found["Lung Opacity"] == found["Infiltration"] == "present"
    assert found["Lung Lesion"] == found["Nodule"] == "present"
    assert found["Pleural Other"] == found["Pleural_Thickening"] == "absent"
    assert set(found) <= set(LABELS)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(VOCABULARY.split("|")),
            st.text(max_size=5),
        ),
        max_size=40,
    ),
    st.sampled_from(["", " "]),
)
def test_any_text_is_read_without_an_error_and_every_span_lies_in_its_sentence(parts: list[str], glue: str) -> None:
    text = glue.join(parts)

    for mention in extract(text).mentions:
        start, end = mention.sentence
        assert 0 <= start < end <= len(text)
        assert mention.words
        assert all(start <= first < last <= end for first, last in (*mention.words, *mention.cues))


@pytest.mark.parametrize("unit", ROWS)
def test_a_long_row_of_anything_ends(unit: str) -> None:
    """A pattern that backtracks would need hours for one of these, not a second."""
    text = unit * (200_000 // len(unit))

    assert isinstance(extract(text), Findings)


def test_a_megabyte_of_reports_is_read_to_its_end() -> None:
    text = "No pneumothorax. Heart size is normal.\n" * 26_000 + "Left effusion."

    assert len(text) > 1_000_000
    assert extract(text).by_label["Effusion"].state is PRESENT


def test_a_sentence_of_signs_takes_time_linear_in_its_length() -> None:
    """Twenty times the length takes about 16 times as long, and 70 times where it grows with the square."""

    def seconds(number: int) -> float:
        start = time.process_time()
        assert extract("- PTX, + effusion, " * number).by_label["Pneumothorax"].state is ABSENT
        return time.process_time() - start

    short, long = (min(seconds(number) for _ in range(2)) for number in (400, 8_000))
    assert long < 40 * short


def test_threads_get_what_one_thread_gets() -> None:
    texts = [
        f"{side} effusion. No pneumothorax. Heart {size}." for side in ("Left", "Right") for size in ("normal", "large")
    ]
    alone = [extract(text) for text in texts]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(extract, texts * 50)) == alone * 50


def test_importing_it_loads_no_heavy_library() -> None:
    program = (
        "import sys, reports.findings\n"
        "heavy = {'torch', 'numpy', 'pydicom', 'highdicom', 'pydantic', 'sqlalchemy', 'starlette', 'click'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
