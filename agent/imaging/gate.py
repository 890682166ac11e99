"""May this object be read? Decided from its header alone: is it a frontal chest radiograph of an adult human?

Three answers: read it; exclude it; or wait until a person confirms it. A person can overrule an exclusion too, by its
name. A tag can only speak against a film: that it says PA proves nothing (over a third of such films are laterals), so
the pixels are looked at as well, in `picture`.
"""

from __future__ import annotations

import re
from datetime import date
from functools import partial
from typing import Final, Literal

import pydicom

from agent.imaging.ages import age_notes, judge_age
from agent.imaging.attributes import items, letters, text
from agent.imaging.verdict import Verdict
from agent.imaging.views import judge_orientation, judge_view


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RADIOGRAPHS: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
        "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, for processing
    }
)
_CAPTURES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture
    }
)
_RADIOGRAPHIC: Final = frozenset({"CR", "DX", "RG"})
_UNTOLD: Final = frozenset({"", "OT", "SC"})  # modalities that say nothing

# Without accents and blanks, in capitals. Ribs, sternum and the chest together with the abdomen are other films:
# other exposure, other cut; the readers have seen none of them.
_CHEST: Final = _names(
    "CHEST THORAX THORAXLUNGE LUNG LUNGS CXR HEARTLUNGS TORAX TORACE TORACS BRUSTKORB LUNGE LUNGEN POITRINE "
    "POUMON POUMONS PECHO PULMON PULMONES PEITO PULMAO PULMOES PLUCA KLATKAPIERSIOWA HRUDNIK PLICE MELLKAS PŁUCA "
    "GOGUS AKCIGER BRYSTKASSE BRINGA KEUHKOT GRUDNAYAKLETKA ГРУДНАЯКЛЕТКА ОГК ЛЕГКИЕ 흉부 가슴 胸部 胸 肺"
)
_QUALIFIERS: Final = _names(
    "AP PA FRONTAL ROUTINE PORTABLE NON GRID BED BEDSIDE ERECT SUPINE STANDING UPRIGHT XR CR DX DR RX XRAY VIEW VIEWS "
    "ADULT SINGLE MOBILE DORSOVENTRAL 1 2"
)
_ELSEWHERE: Final = _names(
    "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE ANUS AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK "
    "CALCANEUS CALF CARPUS CEREBELLUM CERVIX CHEEK CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX COLON CORNEA "
    "CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FIBULA FINGER FOOT FOREARM "
    "GALLBLADDER HAND HEAD HEADNECK HEEL HIP HUMERUS ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER "
    "LOWERLEG LOWERLIMB LSPINE LSSPINE MANDIBLE MASTOID MAXILLA NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV "
    "NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS RADIUSULNA RECTUM RIB RIBS "
    "SACRUM SCALP SCAPULA SCLERA SCROTUM SHOULDER SINUS SINUSES SKULL SPINE SPLEEN SSPINE STERNUM STOMACH TESTIS "
    "THIGH THORACICSPINE THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TOOTH TEETH TRACHEA TSPINE "
    "ULNA UPPERARM UPPERLIMB URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WHOLESPINE WRIST ZYGOMA BECKEN BEIN "
    "FINGER FUSS HALS HUFTE KNIE KOPF SCHADEL SCHULTER WIRBELSAULE BWS HWS LWS OBERSCHENKEL UNTERARM BASSIN BRAS "
    "CRANE EPAULE GENOU HANCHE JAMBE MAIN PIED RACHIS CADERA COLUMNA CRANEO MANO PIE RODILLA"
)
_NO_PART: Final = _names("UNKNOWN OTHER NONE NA XX NOTSPECIFIED UNSPECIFIED DEFAULT ANY")

BY_PIXELS: Final = "chest-by-pixels"  # read, unless the pixels raise a doubt

# SNOMED CT and its older SRT identifiers (PS3.16 CID 4 and CID 4031).
_CHEST_CODES: Final = frozenset({"51185008", "816094009", "43799004", "39607008", "T-D3000", "T-D3400", "T-28000"})
_HUMAN_CODES: Final = frozenset({"337915000", "L-85B00"})


def judge(
    header: pydicom.Dataset,
    *,
    received: date,
    confirmed: bool = False,
    by: str = "person",
    overruled: frozenset[str] = frozenset(),
    hold_unknown_age: bool = False,
    pixels_name_the_part: bool = False,
) -> Verdict:
    """Judge one object.

    header: its data set; pixel data need not be there.
    received: the day it came, for the age where the film has no date.
    confirmed: somebody has said that it is a frontal chest film of an adult. Overrules doubts, not exclusions; which
        ones stands in the notes, and so in the draft.
    by: who has said it, as the books have it: `demo`, or a person, whose name does not go into a draft.
    overruled: codes of exclusions that a person has overruled by name.
    hold_unknown_age: an absent age is a doubt; else it is taken for an adult's.
    pixels_name_the_part: an absent body part is no doubt; the code is then BY_PIXELS, and a film whose pixels raise a
        doubt must wait, whatever is configured for it.
    """
    doubts: list[Verdict] = []
    phrases: tuple[str, ...] = ()
    age = partial(judge_age, received=received, hold_unknown=hold_unknown_age)
    unnamed = pixels_name_the_part and not (confirmed or overruled) and _names_no_part(header)
    part = _no_doubt if unnamed else _body_part
    for rule in (_kind, _image, _subject, age, judge_view, judge_orientation, part):
        verdict = rule(header)
        if verdict is None:
            continue
        if verdict.decision != "exclude":
            doubts.append(verdict)
        elif verdict.code not in overruled:
            return verdict
        else:
            phrases += (f"read although excluded ({verdict.code}): a person overruled it",)
    notes = age_notes(header, received)
    phrases += tuple(phrase for doubt in doubts for phrase in doubt.notes)
    if doubts and not confirmed:
        return Verdict("confirm", doubts[0].code, " ".join(doubt.explanation for doubt in doubts), (*phrases, *notes))
    if doubts:
        who = who_confirmed(by)
        accepted = (*phrases, f"confirmed as a frontal adult chest film by {who}")
        return Verdict("read", "confirmed", f"{who.capitalize()} confirmed the film.", (*accepted, *notes))
    if unnamed:
        phrases += ("body part not in the header; the pixels raised no doubt",)
        return Verdict("read", BY_PIXELS, "The header names no body part; the pixels decide.", (*phrases, *notes))
    return Verdict("read", "accepted", "The header says chest radiograph.", (*phrases, *notes))


def who_confirmed(by: str) -> str:
    """Who confirmed a film, in the words of a draft, from an actor of the books."""
    return "the demonstration" if by == "demo" else "a person"


def _exclude(code: str, explanation: str) -> Verdict:
    return Verdict("exclude", code, explanation)


def _confirm(code: str, explanation: str, phrase: str) -> Verdict:
    """A doubt. phrase: what stands in the draft, behind `Assumed:`, once it was overruled."""
    return Verdict("confirm", code, explanation, (phrase,))


def _kind(header: pydicom.Dataset) -> Verdict | None:
    """The kind of object: a radiograph."""
    sop_class, modality = text(header, "SOPClassUID"), text(header, "Modality").upper()
    if sop_class not in _RADIOGRAPHS | _CAPTURES:
        return _exclude("not-a-projection-image", "The object is neither CR, DX nor Secondary Capture.")
    if modality not in _RADIOGRAPHIC | _UNTOLD:
        return _exclude("not-a-projection-image", "The modality is neither CR nor DX.")
    if sop_class in _CAPTURES and modality in _UNTOLD:
        return _confirm(
            "secondary-capture",
            "A Secondary Capture that does not say that it is a radiograph.",
            "a Secondary Capture that does not say that it is a radiograph",
        )
    if sop_class in _CAPTURES and text(header, "BurnedInAnnotation").upper() == "YES":
        return _confirm("burnt-in-text", "A Secondary Capture with text in its picture.", "text in the picture")
    return None


def _image(header: pydicom.Dataset) -> Verdict | None:
    """One frame of a patient."""
    if text(header, "NumberOfFrames") not in {"", "1"}:
        return _exclude("multi-frame", "The object has more than one frame.")
    if not (text(header, "Rows") and text(header, "Columns")):
        return _exclude("no-pixels", "The object holds no image.")
    if text(header, "QualityControlImage").upper() == "YES":
        return _exclude("quality-control", "The image is marked as a quality control image.")
    return None


def _subject(header: pydicom.Dataset) -> Verdict | None:
    species = text(header, "PatientSpeciesDescription").lower()
    codes = _codes(header, "PatientSpeciesCodeSequence")
    breed = text(header, "PatientBreedDescription") or _codes(header, "PatientBreedCodeSequence")
    animal = species not in {"", "human", "homo sapiens"} or bool(codes - _HUMAN_CODES) or bool(breed)
    return _exclude("animal", "The patient is an animal.") if animal else None


def _body_part(header: pydicom.Dataset) -> Verdict | None:
    by_code = _part_of_codes(header)
    by_name = _part_of_name(text(header, "BodyPartExamined"))
    said = {part for part in (by_code, by_name) if part is not None}
    if said == {"chest"}:
        return None
    if said == {"elsewhere"}:
        return _exclude("not-a-chest", "The body part is not the chest.")
    if said:
        return _confirm(
            "body-part-conflict",
            "Body Part Examined and Anatomic Region disagree.",
            "body parts in the header disagree",
        )
    phrase = "body part in the header not known" if text(header, "BodyPartExamined") else "body part not in the header"
    return _confirm("body-part-unknown", "The body part is absent, or a word that is not known here.", phrase)


def _names_no_part(header: pydicom.Dataset) -> bool:
    """Neither a code nor a word, not even an unknown one."""
    named = letters(text(header, "BodyPartExamined")) not in _NO_PART | {""}
    return not named and not _codes(header, "AnatomicRegionSequence")


def _no_doubt(_header: pydicom.Dataset) -> Verdict | None:
    return None


def _part_of_codes(header: pydicom.Dataset) -> Literal["chest", "elsewhere"] | None:
    codes = _codes(header, "AnatomicRegionSequence")
    if not codes:
        return None
    return "chest" if codes & _CHEST_CODES else "elsewhere"


def is_elsewhere(body_part: str) -> bool:
    """Does Body Part Examined name another part than the chest, so that the film would be excluded for it?"""
    return _part_of_name(body_part) == "elsewhere"


def _part_of_name(name: str) -> Literal["chest", "elsewhere"] | None:
    """None where the word is absent or unknown: it may be the chest in a language that is not listed."""
    words = [bare for word in re.split(r"[\s,;/_.-]+", name) if (bare := letters(word))]
    joined = "".join(words)
    if not joined or joined in _NO_PART:
        return None
    if joined in _CHEST:
        return "chest"
    if joined in _ELSEWHERE:
        return "elsewhere"
    plain = [word for word in words if word not in _QUALIFIERS]
    if any(word in _ELSEWHERE | {"SPINE", "ABDOMINAL", "LATERAL"} for word in plain):
        return "elsewhere"
    return "chest" if plain and all(word in _CHEST for word in plain) else None


def _codes(header: pydicom.Dataset, keyword: str) -> frozenset[str]:
    return frozenset(code for item in items(header, keyword) if (code := text(item, "CodeValue")))
