"""What must hold of a note that takes documents back: Key Object Selection with TID 2010."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage, SecondaryCaptureImageStorage

from dicom_node.uids import ROOT, root_of
from reports.checks.elements import of_the_moment, of_the_reader, of_the_uids
from reports.checks.structure import (
    ALWAYS,
    of_the_attributes,
    of_the_evidence,
    of_the_flags,
    of_the_items,
    of_the_request,
    referenced,
)
from reports.objects import key_object, tree
from reports.objects.frame import series_uid
from reports.objects.tree import plain

_VALUE_TYPES: Final = frozenset({"CODE", "COMPOSITE", "IMAGE", "TEXT", "UIDREF"})
_FLAGS: Final = ("CompletionFlag", "VerificationFlag", "PreliminaryFlag", "VerifyingObserverSequence")


def of_a_key_object(note: Dataset) -> Iterator[str]:
    """All problems of a rejection or withdrawal of ours, one phrase each."""
    stage = key_object.stage_of(note)
    title = key_object.TITLES[stage]
    yield from of_the_attributes(note)
    yield from of_the_flags(note, {**ALWAYS, "Modality": ("KO",), "SeriesDescription": (key_object.SERIES[stage],)})
    yield from of_the_uids(
        note,
        series=series_uid(plain(note, "StudyInstanceUID"), KeyObjectSelectionDocumentStorage, stage),
        instance=_own_uid(note),
    )
    yield from of_the_reader(note)
    yield from of_the_moment(note)
    if "ReferencedRequestSequence" in note:
        yield from of_the_request(note)
    yield from (f"{name} does not belong into a key object selection" for name in _FLAGS if name in note)
    if (tree.name_of(note), tree.meaning_of(note)) != ((title.value, title.scheme_designator), title.meaning):
        yield "the title is neither of the two rejections"
    if [plain(item, "TemplateIdentifier") for item in note.get("ContentTemplateSequence") or []] != ["2010"]:
        yield "ContentTemplateSequence does not name TID 2010"
    yield from of_the_items(note, _VALUE_TYPES)
    yield from of_the_evidence(note)
    yield from _of_the_content(note)


def of_the_rejected(note: Dataset, master: Dataset) -> Iterator[str]:
    """The note takes back the document that it was made from."""
    if plain(master, "SOPInstanceUID") not in referenced(note):
        yield "the document that is taken back is not named"


def _own_uid(note: Dataset) -> str | None:
    try:
        return key_object.instance_uid(note)
    except (AttributeError, IndexError):
        return None


def _of_the_content(note: Dataset) -> Iterator[str]:
    items = note.get("ContentSequence") or []
    names = [tree.name_of(item)[0] for item in items]
    if "121012" not in names:
        yield "the device observer is missing"
    if names.count(key_object.DESCRIPTION.value) != 1:
        yield "the words that say why are missing"
    if any("ContentSequence" in item for item in items):
        yield "something stands below an item of the note"
    for item in items:
        if "ReferencedSOPSequence" in item:
            yield from _of_a_reference(item, root_of(plain(note, "SeriesInstanceUID")))


def _of_a_reference(item: Dataset, root: str) -> Iterator[str]:
    """It names a document of ours: a note must never hide what another system made. root: that of the note."""
    if "ConceptNameCodeSequence" in item:
        yield "a reference has a name, which the template forbids"
    for reference in item.ReferencedSOPSequence:
        sop_class = plain(reference, "ReferencedSOPClassUID")
        ours = {ROOT, root}
        if sop_class not in key_object.TAKEN_BACK or root_of(plain(reference, "ReferencedSOPInstanceUID")) not in ours:
            yield "the note names an object that was not made here"
        if (plain(item, "ValueType") == "IMAGE") != (sop_class == SecondaryCaptureImageStorage):
            yield "a reference is of the wrong value type"
