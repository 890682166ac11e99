"""Who wrote a draft, from what, and how: plain values, and one sentence of them for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dicom_node.uids import derived_uid

# First words of every draft. Software looks for them, so they are never translated or rephrased.
NOTICE = "AI-GENERATED DRAFT - NOT VERIFIED"
_EXPLANATION = "Written by software from the image alone. No radiologist has reviewed it."
_BLIND = "DOES NOT SEE"  # in the notice of a reader whose text has nothing to do with the image
_MADE_UP = "Written by demonstration software; no image was evaluated. No radiologist has reviewed it."
_RESEARCH = "For research; not cleared as a medical device."


def device_uid(digest: str) -> str:
    """Device UID of the reader with this digest."""
    return derived_uid("device", digest)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a draft says about its making.

    digest: 64 hexadecimal digits over everything that decides what the reader writes.
    notice: the reader's own warning, shown above everything else; empty for a reader without one.
    generation: how the words were chosen, such as `greedy` or `sampled, seed 7, temperature 0.2`.
    films: SOP Instance UIDs of the images that were read, the first one first.
    assumptions: what was assumed when the pixels were made visible, one phrase each.
    unread: how many further images the study has that were not read.
    """

    reader_name: str
    reader_version: str
    manufacturer: str
    precision: str
    digest: str
    notice: str
    generation: str
    software_version: str
    films: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    unread: int = 0

    @property
    def device_uid(self) -> str:
        """Device UID (0018,1002) of the reader: the same weights and settings are the same device."""
        return device_uid(self.digest)

    @property
    def sees(self) -> bool:
        """Does the text come from the image? A demonstration says in its notice that it does not."""
        return _BLIND not in self.notice

    def warning(self, *, cleared: bool) -> str:
        """Text of the first section, one statement a line."""
        explanation = _EXPLANATION if self.sees else _MADE_UP
        lines = (self.notice, NOTICE, explanation, "" if cleared else _RESEARCH)
        return "\n".join(line for line in lines if line)

    def sentence(self, views: list[str], content_at: datetime, departures: Sequence[str] = ()) -> str:
        """One paragraph for people: by whom, when, from what, on which assumptions.

        views: what each film is, such as `DX PA`, in the order of `films`. departures: where the report does not say
        what the image says, one phrase each.
        """
        images = "1 image" if len(views) == 1 else f"{len(views)} images"
        parts = [
            f"Drafted by {self.reader_name} {self.reader_version} ({self.precision}, {self.generation}, "
            f"digest {self.digest[:12]}) in wetread {self.software_version}, {content_at:%Y-%m-%d %H:%M %z}.",
            f"{'Read' if self.sees else 'Attached'}: {images} ({'; '.join(views)}). Not seen: {self._not_seen()}.",
        ]
        if self.assumptions:
            parts.append(f"Assumed: {'; '.join(self.assumptions)}.")
        if departures:
            parts.append(f"Not as in the image: {'; '.join(departures)}.")
        return " ".join(parts)

    def _not_seen(self) -> str:
        further = {0: "", 1: "1 further image of the study, "}.get(self.unread, f"{self.unread} further images, ")
        film = "" if self.sees else "this image, "
        return f"{film}{further}prior examinations, clinical information"
