"""Any structured report on a sheet: ours by its own layout, another maker's by the outline of its items."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pydicom import Dataset

from dicom_node.kinds import Stage
from reports.checks.foreign import is_ours
from reports.objects import tree
from reports.objects.content import NotOurs
from reports.objects.tree import plain
from reports.outline import Line, Outline, outline, shown
from reports.page.sheet import UNNAMED, Field, Section, Sheet, compose, day, person

_HEADINGS: Final = frozenset(
    code.value
    for code in (
        *(tree.SUMMARY, tree.FINDINGS, tree.IMPRESSIONS),
        *(tree.ADDENDUM, tree.KEY_IMAGES, tree.PROCEDURE_DESCRIPTIONS),
    )
)
_SHOWN: Final = frozenset({"TEXT", "IMAGE"})


def compose_any(document: Dataset) -> Sheet:
    """Lay out a structured report, whoever made it. Raises NoReport: its content cannot be read.

    Our own layout knows our own headings only: in another maker's report, or in one of ours that another program has
    added to, it would leave out the rest.
    """
    if is_ours(document) and _is_as_we_write(document):
        with suppress(NotOurs):  # another kind than a narrative
            return compose(document)
    return _compose(document, outline(document))


def _is_as_we_write(document: Dataset) -> bool:
    """Does nothing stand in it that our own layout would not show?"""
    sections = tree.sections_of(document)
    headings = [heading for heading, _ in map(tree.name_of, sections)]
    several = {heading for heading in headings if headings.count(heading) > 1}
    items = [item for section in sections for item in tree.descendants(section)]
    return (
        set(headings) <= _HEADINGS
        and several <= {tree.ADDENDUM.value}
        and all(plain(item, "ValueType") in _SHOWN for item in items if plain(item, "RelationshipType") == "CONTAINS")
    )


def _compose(document: Dataset, found: Outline) -> Sheet:
    verified = dict(found.flags)["VerificationFlag"] == "VERIFIED"
    status = "VERIFIED" if verified else "NOT VERIFIED"
    patient, study = dict(found.patient), dict(found.study)
    return Sheet(
        stage=Stage.SIGNED if verified else Stage.DRAFT,
        title=found.title,
        status=status,
        banner=() if verified else (status,),
        loud=0 if verified else 1,
        key=(
            Field("Patient", person(patient["PatientName"]) or UNNAMED),
            Field("Patient ID", patient["PatientID"] or UNNAMED),
            Field("Accession", study["AccessionNumber"] or UNNAMED),
        ),
        fields=tuple(_fields(patient, study, found)),
        sections=tuple(_sections(found)),
        verified_by=tuple(Field("", who) for who in found.verified_by),
        making=f"{found.sop_class}; shown by its items, in the order of the document.",
        images=(),
        identifier=plain(document, "SOPInstanceUID"),
    )


def _fields(patient: dict[str, str], study: dict[str, str], found: Outline) -> list[Field]:
    written = (
        ("Birth date", day(patient["PatientBirthDate"])),
        ("Sex", patient["PatientSex"]),
        ("Study", study["StudyDescription"]),
        ("Study date", day(study["StudyDate"])),
        ("Issuer of ID", patient["IssuerOfPatientID"]),
        ("Flags", ", ".join(value for _, value in found.flags if value)),
    )
    return [Field(label, value) for label, value in written if value]


def _sections(found: Outline) -> list[Section]:
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in shown(found):
        if line.value_type == "CONTAINER" and line.depth == 0:
            sections.append((line.name or "(no heading)", []))
        else:
            sections[-1][1].append(_words(line))
    if found.cut:
        sections.append(("Cut", ["There is more in the document than is shown here."]))
    return [Section(heading or "Content", "\n".join(lines)) for heading, lines in sections if lines]


def _words(line: Line) -> str:
    indent = "\u2003" * max(line.depth - 1, 0)
    if line.value_type == "CONTAINER":
        return f"{indent}{line.name}"
    return f"{indent}{line.name}: {line.value or '-'}" if line.name else f"{indent}{line.value or '-'}"
