"""What was written about a study: the text of one frontal film, or of two, each under its own name in one draft.

Two texts are never merged, also where they are alike: whether two films show the same is the radiologist's to say.
Where they differ in a finding or its side, the draft says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset

from agent.imaging.attributes import value
from agent.imaging.pixels import Film
from agent.imaging.verdict import Verdict
from agent.readers import guards
from agent.readers.protocol import Generation, Reading
from dicom_node.tables import Instance
from reports.findings import CHEXPERT, Finding, Laterality, State, extract
from reports.text import DraftText, sections

_CODE: Final = re.compile(r"[A-Z0-9_ ]{1,16}")  # VR CS; what is none is not shown


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image of the study, its header and what the gate says of it."""

    instance: Instance
    header: Dataset
    verdict: Verdict
    copies: tuple[str, ...] = ()  # SOP Instance UIDs of images of the study with the same picture


@dataclass(frozen=True, slots=True)
class Text:
    """What was written about one film."""

    of: Candidate
    film: Film
    reading: Reading


def films(texts: Sequence[Text]) -> tuple[str, ...]:
    """SOP Instance UIDs of what was read, the first text's film first; copies of a picture behind all."""
    read = tuple(text.of.instance.sop_instance_uid for text in texts)
    return read + tuple(copy for text in texts for copy in text.of.copies)


def words(texts: Sequence[Text]) -> DraftText:
    """The sections of the draft; of two films a paragraph each, in both sections. Raises TextRefused."""
    parts = [sections(text.reading.text) for text in texts]
    if len(parts) == 1:
        return parts[0]
    names = [f"Image {number} ({_name(text.of.header)}):" for number, text in enumerate(texts, 1)]
    return DraftText(
        "\n\n".join(f"{name}\n{part.findings}" for name, part in zip(names, parts, strict=True)),
        "\n\n".join(f"{name}\n{part.impression}" for name, part in zip(names, parts, strict=True)),
    )


def notes(texts: Sequence[Text]) -> tuple[str, ...]:
    """What was assumed of the films, and what the texts claim to know; of two films with the number of each."""
    found = []
    for number, text in enumerate(texts, 1):
        which = f"image {number}: " if len(texts) > 1 else ""
        said = (*text.of.verdict.notes, *text.film.notes, *guards.notes(text.reading.text))
        found += [f"{which}{note}" for note in said]
    return (*found, *_disagreement(texts))


def _disagreement(texts: Sequence[Text]) -> tuple[str, ...]:
    """Coded forms sum a narrative up: left in one text and right in the other become both sides, which must be said."""
    if len(texts) == 1:
        return ()
    one, two = (extract(text.reading.text).by_label for text in texts)
    labels = [label for label in CHEXPERT if label in one and label in two and _said(one[label]) != _said(two[label])]
    return (f"images 1 and 2 are described differently: {', '.join(labels)}",) if labels else ()


def _said(finding: Finding) -> tuple[State, Laterality | None]:
    return finding.state, finding.laterality


def generation(texts: Sequence[Text]) -> str:
    """How the tokens were chosen, in words."""
    said = [_in_words(text.reading.generation) for text in texts]
    if len(set(said)) == 1:
        return said[0]
    return "; ".join(f"image {number} {one}" for number, one in enumerate(said, 1))


def _in_words(generation: Generation) -> str:
    if generation.mode == "greedy":
        return "greedy"
    return (
        f"sampled, seed {generation.seed}, temperature {generation.temperature}, "
        f"top-p {generation.top_p}, top-k {generation.top_k}"
    )


def _name(header: Dataset) -> str:
    """Such as `DX PA, instance 2`: enough to find the film in the series."""
    said = [str(value(header, keyword) or "").strip() for keyword in ("Modality", "ViewPosition")]
    name = " ".join(word for word in said if _CODE.fullmatch(word)) or "frontal"
    number = str(value(header, "InstanceNumber") or "").strip()
    return f"{name}, instance {number}" if number.isdecimal() else name
