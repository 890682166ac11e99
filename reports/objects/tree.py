"""Content items of a structured report, made with highdicom, and how to find them again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from highdicom.sr import CodeContentItem, CodedConcept, ContainerContentItem, ImageContentItem, TextContentItem
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code

from reports.source import joined

# Headings of the current CID 7001.
SUMMARY = Code("55112-7", "LN", "Summary")
FINDINGS = Code("59776-5", "LN", "Findings")
IMPRESSIONS = Code("19005-8", "LN", "Impressions")
ADDENDUM = Code("55107-7", "LN", "Addendum")
KEY_IMAGES = Code("55113-5", "LN", "Key Images")
PROCEDURE_DESCRIPTIONS = Code("55111-9", "LN", "Current Procedure Descriptions")


def coded(code: Code) -> CodedConcept:
    """Make the code sequence item of a code."""
    return CodedConcept(code.value, code.scheme_designator, code.meaning, code.scheme_version)


def section(heading: Code, *items: Dataset) -> ContainerContentItem:
    """A heading with what stands below it; SEPARATE, since viewers drop the labels of what is continuous."""
    made = ContainerContentItem(name=coded(heading), is_content_continuous=False, relationship_type="CONTAINS")
    made.ContentSequence = Sequence(items)
    return made


def text(name: Code, words: str) -> TextContentItem:
    """A text with CR LF at its line ends (PS3.5 6.2, UT)."""
    return TextContentItem(name=coded(name), value=words.replace("\n", "\r\n"), relationship_type="CONTAINS")


def code(name: Code, value: Code, relationship: str = "CONTAINS") -> CodeContentItem:
    """A name and its coded value."""
    return CodeContentItem(coded(name), coded(value), relationship_type=relationship)


def image(name: Code, film: Dataset) -> ImageContentItem:
    """A reference to an image (`SOPClassUID` and `SOPInstanceUID` of a film)."""
    return ImageContentItem(coded(name), film.SOPClassUID, film.SOPInstanceUID, relationship_type="CONTAINS")


def grow(document: Dataset, root: ContainerContentItem, items: Iterable[Dataset]) -> None:
    """Put the root container and its items into the document; items may come from a document that was read."""
    for element in root:
        document.add(element)
    document.ContentSequence = Sequence(list(items))


def descendants(item: Dataset) -> Iterator[Dataset]:
    """All content items below, depth first."""
    for child in item.get("ContentSequence") or []:
        yield child
        yield from descendants(child)


def name_of(item: Dataset) -> tuple[str, str]:
    """Code value and scheme of an item's concept name; empty texts where it has none."""
    names = item.get("ConceptNameCodeSequence") or [Dataset()]
    return plain(names[0], "CodeValue"), plain(names[0], "CodingSchemeDesignator")


def meaning_of(item: Dataset, keyword: str = "ConceptNameCodeSequence") -> str:
    """Code meaning of an item's name or value; empty where it has none."""
    return plain((item.get(keyword) or [Dataset()])[0], "CodeMeaning")


def sections_of(document: Dataset) -> list[Dataset]:
    """The containers directly below the root, in order."""
    return [item for item in document.get("ContentSequence") or [] if plain(item, "ValueType") == "CONTAINER"]


def section_text(container: Dataset) -> str:
    """All texts below a section, one a line, as they are stored."""
    return "\n".join(plain(item, "TextValue") for item in descendants(container) if "TextValue" in item)


def plain(dataset: Dataset, keyword: str) -> str:
    """Return an element as one text; empty where absent."""
    return joined(dataset.get(keyword))
