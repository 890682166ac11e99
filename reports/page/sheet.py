"""What stands on the pages of a report, in its order, before anything decides how it looks.

The PDF, its picture and the HTML page show one sheet, so that none of them can say less than another.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType

from pydicom import Dataset

from dicom_node.characters import JOINERS, disarm
from dicom_node.kinds import Stage
from reports.objects.content import Content, Verification, read_content
from reports.objects.tree import plain
from reports.provenance import NOTICE

NO_DRAFT = "NO AI DRAFT"
STATUS = MappingProxyType(
    {
        Stage.DRAFT: NOTICE,
        Stage.NOTICE: NO_DRAFT,
        Stage.SIGNED: "VERIFIED REPORT",
        Stage.COSIGNED: "VERIFIED REPORT - COSIGNED",
        Stage.ADDENDUM: "VERIFIED REPORT - WITH ADDENDUM",
    }
)
UNNAMED = "(empty)"
_FORMATS = frozenset({"Cf"})
_SEX = MappingProxyType({"F": "female", "M": "male", "O": "other"})
# A letter of a script from right to left, with a number or a name's next group behind it: an invisible mark between
# them keeps both in the order of the line (UAX 9, 2.6), so that "12 mm" is not torn apart.
_BEHIND = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff][)\].,;:]*(?=\s+(?:=|[(\[]?\d))")


@dataclass(frozen=True, slots=True)
class Field:
    """A label and its value. The value is a paragraph of its own: mixed directions in one line change their order."""

    label: str
    value: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", visible(self.value))


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and its paragraphs with LF between."""

    heading: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", visible(self.text))


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything on the pages, from top to bottom; what would turn or hide other words is taken out of it.

    banner: repeated on every page above everything else, the loudest lines first; empty in a verified report.
    loud: how many of them are loud.
    key: what tells one patient and order from another, repeated on every page.
    identifier: SOP Instance UID of the narrative that the pages show.
    """

    stage: Stage
    title: str
    status: str
    banner: tuple[str, ...]
    loud: int
    key: tuple[Field, ...]
    fields: tuple[Field, ...]
    sections: tuple[Section, ...]
    verified_by: tuple[Field, ...]
    making: str
    images: tuple[str, ...]
    identifier: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", visible(self.title))
        object.__setattr__(self, "making", visible(self.making))
        object.__setattr__(self, "banner", tuple(visible(line) for line in self.banner))

    @property
    def words(self) -> str:
        """Everything that must be printable, whatever is asked of a font."""
        parts = [self.title, self.status, *self.banner, self.making, *self.images, self.identifier]
        for field in (*self.key, *self.fields, *self.verified_by):
            parts += [field.label, field.value]
        for section in self.sections:
            parts += [section.heading, section.text]
        return "\n".join(parts)


def compose(master: Dataset) -> Sheet:
    """Lay out the words of a narrative of ours.

    Raises NotOurs: the document is no report of ours.
    """
    content = read_content(master)
    banner, loud = _banner(content)
    return Sheet(
        stage=content.stage,
        title=content.title,
        status=STATUS[content.stage],
        banner=banner,
        loud=loud,
        key=_key(master),
        fields=_fields(master),
        sections=tuple(_sections(content)),
        verified_by=tuple(_verification(one) for one in content.verified_by),
        making=_making(content.making),
        images=tuple(uid for _, uid in content.films),
        identifier=plain(master, "SOPInstanceUID"),
    )


def person(name: str) -> str:
    """Person Name (PS3.5 6.2.1.1) for people: each group's components as they follow, the groups with ` = ` between."""
    groups = [" ".join(part for part in group.split("^") if part) for group in name.split("=")]
    return " = ".join(group for group in groups if group)


def day(text: str) -> str:
    """Date (DA) as ISO 8601; anything else as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch(r"\d{8}", text) else text


def moment(text: str) -> str:
    """Date and time (DT) to the second with its offset from UTC."""
    match = re.fullmatch(r"(\d{8})(\d\d)(\d\d)(\d\d)(?:\.\d+)?([+-]\d{4})?", text)
    return " ".join(filter(None, (day(match[1]), ":".join(match.group(2, 3, 4)), match[5]))) if match else text


def runs_left(line: str) -> bool:
    """Is a line written from right to left? Its first letter says so (UAX 9, P2 and P3)."""
    kinds = (unicodedata.bidirectional(character) for character in line)
    return next((kind for kind in kinds if kind in {"L", "R", "AL"}), "L") != "L"


def _banner(content: Content) -> tuple[tuple[str, ...], int]:
    lines = tuple(line for line in content.warning.splitlines() if line.strip())
    if content.stage is Stage.NOTICE:
        return (NO_DRAFT, *lines), 1
    return lines, lines.index(NOTICE) + 1 if NOTICE in lines else 0


def _key(master: Dataset) -> tuple[Field, ...]:
    return (
        Field("Patient", person(plain(master, "PatientName")) or UNNAMED),
        Field("Patient ID", plain(master, "PatientID")),
        Field("Accession", plain(master, "AccessionNumber") or UNNAMED),
    )


def _fields(master: Dataset) -> tuple[Field, ...]:
    sex = plain(master, "PatientSex")
    clock = plain(master, "StudyTime")
    time = ":".join(re.findall(r"\d\d", clock.partition(".")[0])) if clock else ""
    zone = plain(master, "TimezoneOffsetFromUTC") if time else ""
    written = (
        ("Birth date", day(plain(master, "PatientBirthDate"))),
        ("Sex", _SEX.get(sex, sex)),
        ("Study", plain(master, "StudyDescription")),
        ("Study date", " ".join(filter(None, (day(plain(master, "StudyDate")), time, zone)))),
        ("Study ID", plain(master, "StudyID")),
        ("Referred by", person(plain(master, "ReferringPhysicianName"))),
        ("Issuer of ID", plain(master, "IssuerOfPatientID")),
        ("Written", " ".join((day(plain(master, "ContentDate")), _hours(plain(master, "ContentTime"))))),
    )
    return tuple(Field(label, value) for label, value in written if value.strip())


def _hours(time: str) -> str:
    return ":".join(re.findall(r"\d\d", time))


def _sections(content: Content) -> list[Section]:
    pairs = [("Findings", content.findings), ("Impression", content.impression)]
    pairs += [(f"Addendum {number}", words) for number, words in enumerate(content.addenda, 1)]
    return [Section(heading, words) for heading, words in pairs if words]


def _making(text: str) -> str:
    """Without the lines that a later one says again: name and version of the reader stand in the sentence as well."""
    lines = text.splitlines()
    return "\n".join(
        line for number, line in enumerate(lines) if not any(line in later for later in lines[number + 1 :])
    )


def _verification(one: Verification) -> Field:
    return Field(moment(one.at), f"{person(one.name)}\n{one.organization}")


def visible(text: str) -> str:
    """Take a text without format characters that turn or hide what follows; letters, blanks and line ends stay."""
    kept = disarm(text, also=_FORMATS, keep=f"\n{JOINERS}")
    return "\n".join(line if runs_left(line) else _BEHIND.sub("\\g<0>\u200e", line) for line in kept.split("\n"))
