"""Every object of every kind of film against its golden file, byte for byte: no change of any element goes unseen.

`WETREAD_WRITE_GOLDEN=1 pytest tests/unit/reports/test_golden.py` (`make golden`) writes the files anew; the difference
is what a reviewer reads. A .dcm has the bytes that leave; the .json beside it says the same by keyword. An .hl7 has
line ends where the message has carriage returns. A Secondary Capture is kept deflated (PS3.5 A.5): as it leaves it has
2 MB. Bytes of pages and pictures are also those of fonts and libraries: made-with.json says which made the golden ones.
With the same ones here every byte must be the same; with others the elements, the words and, by eye, the pictures.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from reports.objects.frame import encode
from reports.page.picture import as_pictures, texts
from tests.golden.every_object import SOURCES, hl7, json_messages, pages, structured
from tests.unit.reports.page.narratives import fonts

GOLDEN = Path(__file__).parents[2] / "golden" / "sr"
PAGE = Path(__file__).parents[3] / "deploy" / "docs" / "objects.md"
WIDTH = 120
FACES = frozenset({"NotoSans-Regular", "NotoSans-Bold", "NotoSansCJK-Regular", "NotoSansArabic-Regular"})
MEBIBYTE = 2**20
# Pixels and pages, what is derived from them, and the length that the fonts give them.
MADE_WITH = GOLDEN / "made-with.json"
DIFFERENT = 2.0  # of 255, mean over a picture: the same words in another drawing; one line of words is 3 and more
OF_THE_FONTS = frozenset({"EncapsulatedDocument", "EncapsulatedDocumentLength", "PixelData", "SOPInstanceUID"})


def golden(name: str, found: Mapping[str, bytes]) -> dict[str, bytes]:
    """The golden files of one source that have the names of what was found; written first where that is asked for."""
    folder = GOLDEN / name
    if os.environ.get("WETREAD_WRITE_GOLDEN") == "1":
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in found.items():
            (folder / file).write_bytes(content)
    return {file: (folder / file).read_bytes() for file in found}


def readable(value: Any, indent: int = 0) -> str:
    """JSON with a line for what fits into one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inside = " " * (indent + 1)
    if isinstance(value, dict):
        rows = [f"{inside}{json.dumps(key)}: {readable(one, indent + 1)}" for key, one in value.items()]
    else:
        rows = [inside + readable(one, indent + 1) for one in value]
    left, right = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([left, ",\n".join(rows), " " * indent + right])


def by_keyword(document: Dataset, *, without: Iterable[str] = ()) -> dict[str, Any]:
    return {
        element.keyword or str(element.tag): _plain(element.value)
        for element in document
        if element.keyword not in without
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Dataset):
        return by_keyword(value)
    if isinstance(value, list | MultiValue) or type(value).__name__ == "Sequence":
        return [_plain(one) for one in value]
    return value if isinstance(value, int) else "" if value is None else str(value)


def as_text(document: dict[str, Any]) -> bytes:
    return (readable(document) + "\n").encode()


def files_of(name: str) -> dict[str, bytes]:
    """Each structured report as it leaves, and as people read it."""
    found = {}
    for kind, document in structured(name).items():
        written = encode(document)
        found[f"{kind}.dcm"] = written
        found[f"{kind}.json"] = as_text(by_keyword(dcmread(io.BytesIO(written))))
    return found


def assert_same(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    """Readable files first: they say what has changed."""
    for file in sorted(found, key=lambda one: one.endswith(".dcm")):
        if file.endswith(".dcm"):
            assert found[file] == expected[file], f"{file} differs where its .json does not"
        else:
            assert found[file].decode() == expected[file].decode(), file


@pytest.mark.parametrize("name", SOURCES)
def test_structured_reports_are_the_golden_ones(name: str) -> None:
    found = files_of(name)

    assert_same(found, golden(name, found))


@pytest.mark.parametrize("name", SOURCES)
def test_hl7_messages_are_the_golden_ones(name: str) -> None:
    found = {f"oru-{kind}.hl7": message.replace(b"\r", b"\n") for kind, message in hl7(name).items()}

    assert not any(b"\n" in message for message in hl7(name).values())
    assert_same(found, golden(name, found))


@pytest.mark.parametrize("name", SOURCES)
def test_bundles_and_outcomes_are_the_golden_ones(name: str) -> None:
    found = {}
    for kind, message in json_messages(name).items():
        members = json.loads(message)
        assert json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode() == message
        found[f"{kind}.json"] = as_text(members)

    assert_same(found, golden(name, found))


@pytest.mark.parametrize("name", SOURCES)
def test_elements_of_pages_and_pictures_are_the_golden_ones(name: str) -> None:
    found = {
        f"{kind}.json": as_text(by_keyword(document, without=OF_THE_FONTS)) for kind, document in pages(name).items()
    }

    assert_same(found, golden(name, found))


@cache
def made_with() -> Mapping[str, str]:
    """What decides the bytes of a page: fonts, and the libraries that cut, write, compress and draw."""
    used = {face: path for face, path in fonts().files.items() if face in FACES}
    found = {face: hashlib.sha256(path.read_bytes()).hexdigest() for face, path in sorted(used.items())}
    libraries = {name: version(name) for name in ("fpdf2", "fonttools", "uharfbuzz", "pypdfium2", "numpy")}
    return {**libraries, "zlib": zlib.ZLIB_RUNTIME_VERSION, **found}


def deflated(document: Dataset) -> bytes:
    """A file with another transfer syntax for what would be too large for a repository."""
    read, buffer = dcmread(io.BytesIO(encode(document))), io.BytesIO()
    read.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    read.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def drawn(document: Dataset) -> list[Any]:
    """Pages of a PDF or the picture, as gray values."""
    if "PixelData" in document:
        return [np.frombuffer(document.PixelData, np.uint8)[: document.Rows * document.Columns]]
    return [page.ravel() for page in as_pictures(bytes(document.EncapsulatedDocument))]


@pytest.mark.parametrize("name", SOURCES)
def test_pages_and_pictures_are_the_golden_ones(name: str) -> None:
    found = {
        f"{kind}.dcm": deflated(page) if kind.startswith("sc") else encode(page) for kind, page in pages(name).items()
    }
    tools = golden(".", {MADE_WITH.name: as_text(dict(made_with()))})[MADE_WITH.name]

    for file, content in golden(name, found).items():
        expected, page = dcmread(io.BytesIO(content)), pages(name)[file.removesuffix(".dcm")]
        if json.loads(tools) == made_with():
            assert encode(expected) == encode(page), file
        assert len(drawn(expected)) == len(drawn(page))
        for one, other in zip(drawn(expected), drawn(page), strict=True):
            assert one.shape == other.shape
            assert np.abs(one.astype(np.int16) - other).mean() < DIFFERENT, file
        if "EncapsulatedDocument" in page:
            assert texts(bytes(expected.EncapsulatedDocument)) == texts(bytes(page.EncapsulatedDocument)), file


def test_picture_without_a_line_of_its_words_differs() -> None:
    page = drawn(pages("dx")["sc-draft"])[0].reshape(pages("dx")["sc-draft"].Rows, -1)
    dark = np.flatnonzero((page < 128).any(axis=1))
    changed = page.copy()
    changed[dark[0] : dark[0] + 60] = 255  # the banner

    assert np.abs(page.astype(np.int16) - changed).mean() > DIFFERENT


def test_pictures_are_kept_deflated_and_say_so() -> None:
    for kind, syntax in (("sc-draft", DeflatedExplicitVRLittleEndian), ("pdf-draft", ExplicitVRLittleEndian)):
        assert dcmread(GOLDEN / "dx" / f"{kind}.dcm").file_meta.TransferSyntaxUID == syntax


def test_golden_files_are_those_that_are_compared_and_stay_small() -> None:
    present = {path for path in GOLDEN.rglob("*") if path.is_file()}
    compared = {MADE_WITH} | {
        GOLDEN / name / file
        for name in SOURCES
        for file in (
            *(f"{kind}{end}" for kind in structured(name) for end in (".dcm", ".json")),
            *(f"oru-{kind}.hl7" for kind in hl7(name)),
            *(f"{kind}.json" for kind in (*json_messages(name), *pages(name))),
            *(f"{kind}.dcm" for kind in pages(name)),
        )
    }

    assert present == compared
    assert sum(path.stat().st_size for path in present) < 3 * MEBIBYTE


def test_golden_file_of_a_changed_letter_differs() -> None:
    document = dcmread(GOLDEN / "dx" / "draft.dcm")
    document.PatientName = "Example^Filn"

    with pytest.raises(AssertionError):
        assert_same({"draft.json": as_text(by_keyword(document))}, golden_only("dx", "draft.json"))


def golden_only(name: str, file: str) -> dict[str, bytes]:
    return {file: (GOLDEN / name / file).read_bytes()}


@pytest.mark.parametrize("name", SOURCES)
def test_name_in_a_golden_file_is_that_of_the_film(name: str) -> None:
    film = SOURCES[name]()
    film.decode()

    for kind in structured(name):
        assert str(dcmread(GOLDEN / name / f"{kind}.dcm").PatientName) == str(film.PatientName)


def flags_in_the_manual() -> dict[tuple[int, str], str]:
    """Tag and object to value, of those rows that give a value."""
    section = PAGE.read_text(encoding="utf-8").split("## Flags\n")[1].split("\n## ")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*", section, re.MULTILINE)
    ]
    found: dict[tuple[int, str], str] = {}
    for name, *values in rows:
        tag = re.search(r"\((\w{4}),(\w{4})\)", name)
        assert tag is not None, name
        found |= {(int(tag[1] + tag[2], 16), kind): value for kind, value in zip(head[1:], values, strict=True)}
    return found


def test_flags_in_the_manual_are_those_of_the_objects() -> None:
    manual = flags_in_the_manual()

    assert len(manual) == 10 * 7
    for (tag, kind), said in manual.items():
        element = structured("dx")[kind].get(tag)
        if element is None:
            assert said in {"–", "absent", "older draft"}
        elif element.VR == "SQ":
            observers = {1: "1 item", 2: "2 items"}[len(element.value)]
            assert said.startswith(observers) or element.keyword == "PredecessorDocumentsSequence"
        else:
            assert said == str(element.value)
