"""Fonts that are on the machine, and which of them a text needs: a missing one is an error, never a box.

The names are those of Noto as Debian has it: every script in a file of its own, the Chinese, Japanese and Korean
characters in one collection with a face for each country's forms.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import uharfbuzz

from dicom_node.errors import WetreadError

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
LATIN = "NotoSans-Regular"
BOLD = "NotoSans-Bold"
_CJK = "NotoSansCJK-Regular"
_SYMBOLS = ("NotoSansSymbols-Regular", "NotoSansSymbols2-Regular", "NotoSansMath-Regular")
_PACKAGES = MappingProxyType({_CJK: "fonts-noto-cjk"})
# First word of a character's Unicode name where the name of its font is another.
_SHARED = MappingProxyType(
    dict.fromkeys(("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH"), _CJK)
    | {"KATAKANA-HIRAGANA": _CJK, "ARABIC-INDIC": "NotoSansArabic-Regular"}
)
# Faces of the collection, by what tells the country: an unmarked Chinese character has the forms of China.
_JAPAN, _KOREA, _CHINA = 0, 1, 2


class NotPrintable(WetreadError):
    """A report cannot be shown as pages; it can go out in its other forms."""


class FontMissing(NotPrintable):
    """A text holds characters for which no font is on this machine."""


@dataclass(frozen=True, slots=True)
class Face:
    """A font of one file. number: of the face in a collection."""

    name: str
    path: Path
    number: int = 0

    def characters(self) -> frozenset[int]:
        """Code points that it has a shape for."""
        return frozenset(self._opened().unicodes)

    def cut(self, text: str) -> bytes:
        """Cut a font file with the shapes of a text only, ligatures and marks included; ASCII is always in it.

        A library that embeds fonts reads all of a file: with the whole collection a page takes four times as long.
        """
        wanted = uharfbuzz.SubsetInput()
        wanted.sets(uharfbuzz.SubsetInputSets.UNICODE).set({*range(0x20, 0x7F), *map(ord, text)})
        wanted.flags = uharfbuzz.SubsetFlags.NOTDEF_OUTLINE
        return bytes(uharfbuzz.subset(self._opened(), wanted).blob.data)

    def _opened(self) -> uharfbuzz.Face:
        return uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(self.path)), self.number)


@dataclass(frozen=True, slots=True)
class Fonts:
    """Font files by name without suffix, such as `NotoSans-Regular`."""

    files: Mapping[str, Path]

    def face(self, name: str, number: int = 0) -> Face:
        """Find one by name. Raises FontMissing."""
        path = self.files.get(name)
        if path is None:
            package = _PACKAGES.get(name, "fonts-noto-core")
            raise FontMissing(
                f"the font {name} is needed for a report's pages and is not on this machine; "
                f"install the Debian package {package}, or name the folder that holds it"
            )
        return Face(name, path, number)

    def needed(self, text: str) -> tuple[Face, ...]:
        """Faces that together show every character of a text, the Latin one first.

        Raises FontMissing, naming the script and the package.
        """
        faces = [self.face(LATIN)]
        missing = {one for one in text if not one.isspace() and unicodedata.category(one) != "Cf"}
        missing -= _shown(faces[0])
        for name, wanted in _candidates(missing, self.files):
            face = self.face(name, _country(text) if name == _CJK else 0)
            if found := wanted & missing & _shown(face):
                missing -= found
                faces.append(face)
        if missing:
            raise FontMissing(
                f"no font on this machine shows the characters of {_scripts(missing)}; install the Debian packages "
                "fonts-noto-core and fonts-noto-cjk (fonts-noto-extra for rare scripts), or correct the text"
            )
        return tuple(faces)


def find_fonts(folders: Iterable[Path] = FOLDERS) -> Fonts:
    """Look for the fonts below these folders, as fontconfig does; what is found first counts."""
    files: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("Noto*.*")):
            if path.suffix in {".ttf", ".otf", ".ttc"}:
                files.setdefault(path.stem, path)
    return Fonts(MappingProxyType(files))


def _candidates(characters: Set[str], files: Mapping[str, Path]) -> Iterator[tuple[str, Set[str]]]:
    """Fonts in the order to try them, and the characters that each is for: scripts first, the largest font last."""
    by_font: dict[str, set[str]] = {}
    for character in characters:
        by_font.setdefault(_font_of(_script(character)), set()).add(character)
    symbols, asian = by_font.pop("", set()), by_font.pop(_CJK, set())
    yield from sorted(by_font.items())
    if symbols:
        yield from ((name, symbols) for name in _SYMBOLS if name in files)
    if asian or (symbols and _CJK in files):
        yield _CJK, asian | symbols


def _font_of(script: str) -> str:
    return _SHARED.get(script, f"NotoSans{script.title()}-Regular" if script in _SCRIPTS else "")


# Scripts of the Noto Sans fonts in Debian's fonts-noto-core that a name or a report may be written in.
_SCRIPTS = frozenset(
    (
        *("ARABIC", "ARMENIAN", "BENGALI", "CHEROKEE", "DEVANAGARI", "ETHIOPIC", "GEORGIAN", "GUJARATI", "GURMUKHI"),
        *("HEBREW", "KANNADA", "KHMER", "LAO", "MALAYALAM", "MYANMAR", "ORIYA", "SINHALA", "SYRIAC", "TAMIL"),
        *("TELUGU", "THAANA", "THAI"),
    )
)


def _script(character: str) -> str:
    return unicodedata.name(character, "UNNAMED").split()[0]


def _scripts(characters: Iterable[str]) -> str:
    """Words for people, which hold no character of the text."""
    known = _SCRIPTS | _SHARED.keys() | {"LATIN", "GREEK", "CYRILLIC"}
    words = {script.title() if (script := _script(one)) in known else "symbols" for one in characters}
    return ", ".join(sorted(words))


def _country(text: str) -> int:
    scripts = {_script(character) for character in text if ord(character) > 0x10FF}
    if "HANGUL" in scripts:
        return _KOREA
    return _JAPAN if scripts & {"HIRAGANA", "KATAKANA"} else _CHINA


def _shown(face: Face) -> frozenset[str]:
    return frozenset(map(chr, face.characters()))
