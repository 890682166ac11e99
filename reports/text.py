"""The model's text as the two sections of a report, without adding or losing a word."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType

from dicom_node.errors import WetreadError

MAXIMUM_BYTES = 65536  # UTF-8; a radiology report has some 2,000
NO_IMPRESSION = "The model wrote no separate impression; see Findings."
NO_FINDINGS = "The model wrote no separate findings; see Impression."

_WORDS = MappingProxyType(
    {"finding": "findings", "findings": "findings"}
    | dict.fromkeys(("impression", "impressions", "conclusion", "conclusions"), "impression")
)
_DIRECTION = "\u202a\u202b\u202c\u202d\u202e\ufeff"
# A heading opens a line or follows the end of a sentence, with a capital: "FINDINGS:", "**Impression:**",
# "[IMPRESSION]"; without colon or bracket it stands alone on its line. Inside a sentence ("no acute findings: clear",
# also where a line breaks before it) it is a word like any other.
_WORD = r"(?:F(?:INDING|inding)|I(?:MPRESSION|mpression)|C(?:ONCLUSION|onclusion))[Ss]?"
_HEADING = re.compile(
    rf"(?:^|(?<=[.!?])[ ])[ ]*[*#_\[ ]*\b(?P<marked>{_WORD})\b(?:[*_]*[ ]*:[*_\] ]*|[ ]*\][ ]*:?)"
    rf"|^[ ]*[*#_ ]*\b(?P<alone>{_WORD})\b[*_ ]*$",
    re.MULTILINE,
)


class TextRefused(WetreadError):
    """The model's text cannot become a draft. `code` is a word for the books; the text itself is in no message."""

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.code = code


@dataclass(frozen=True, slots=True)
class DraftText:
    """Two sections; neither is empty, lines end in LF, no other control characters."""

    findings: str
    impression: str


def sections(text: str) -> DraftText:
    """Split the model's text at the headings that it wrote.

    What stands before the first heading belongs to the findings. A section that the model did not write says so.

    Raises TextRefused: nothing to read, over 64 KiB, or a replacement character that stands for lost bytes.
    """
    cleaned = clean(text)
    if not any(character.isalnum() for character in cleaned):
        raise TextRefused("empty-text", "the model wrote no words")
    if len(cleaned.encode()) > MAXIMUM_BYTES:
        raise TextRefused("endless-text", f"the model's text is over {MAXIMUM_BYTES} bytes")
    parts: dict[str, list[str]] = {"findings": [], "impression": []}
    section, start = "findings", 0
    for heading in _HEADING.finditer(cleaned):
        parts[section].append(cleaned[start : heading.start()])
        section, start = _WORDS[(heading["marked"] or heading["alone"]).lower()], heading.end()
    parts[section].append(cleaned[start:])
    findings, impression = (_joined(parts[name]) for name in ("findings", "impression"))
    if not findings and not impression:
        raise TextRefused("empty-text", "the model wrote headings and nothing below them")
    return DraftText(findings or NO_FINDINGS, impression or NO_IMPRESSION)


def clean(text: str) -> str:
    """NFC, LF at line ends, tabs as blanks; control characters and characters that cannot be written removed.

    Raises TextRefused: U+FFFD, which a decoder writes for bytes that it lost.
    """
    if "\ufffd" in text:
        raise TextRefused("undecodable-text", "the model's text holds bytes that are no characters")
    lines = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    kept = "".join(character for character in lines if character == "\n" or not _is_unwritable(character))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in kept.split("\n"))).strip()


def _is_unwritable(character: str) -> bool:
    """Control, surrogate, unassigned and private characters, and those that turn the direction of what follows."""
    return unicodedata.category(character) in {"Cc", "Cs", "Cn", "Co"} or character in _DIRECTION


def _joined(parts: list[str]) -> str:
    return "\n".join(part.strip() for part in parts if any(character.isalnum() for character in part))
