"""Any structured report on a sheet: ours by its own layout, another maker's by the outline of its items."""

from __future__ import annotations

from pydicom import Dataset

from dicom_node.kinds import Stage
from reports.objects.content import NotOurs
from reports.objects.tree import plain
from reports.outline import Line, Outline, outline
from reports.page.sheet import UNNAMED, Field, Section, Sheet, compose, day, person

_CONTEXT = frozenset({"HAS OBS CONTEXT", "HAS CONCEPT MOD"})


def compose_any(document: Dataset) -> Sheet:
    """Lay out a structured report, whoever made it. Raises NoReport: its content cannot be read."""
    try:
        return compose(document)
    except NotOurs:
        return _compose(document, outline(document))


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
    hidden_below: int | None = None
    for line in found.lines:
        if hidden_below is not None and line.depth > hidden_below:
            continue
        hidden_below = line.depth if line.relationship in _CONTEXT else None
        if hidden_below is not None:
            continue
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
