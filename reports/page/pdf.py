"""A sheet as PDF: banner and key on every page, fonts embedded as far as they are used, same sheet same bytes."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from fpdf import FPDF
from fpdf.enums import MethodReturnValue, XPos, YPos
from fpdf.fonts import TTFFont

from dicom_node.kinds import FINAL
from reports.page.fonts import BOLD, Fonts, NotPrintable
from reports.page.sheet import Sheet, runs_left

_MARGIN = 18.0  # mm; all lengths are
_LABEL = 27.0  # width of a label's column
_FOOT = 19.0
_BLACK, _WHITE, _GREY, _RULE = (0, 0, 0), (255, 255, 255), (80, 80, 80), (160, 160, 160)
_ALARM = (150, 0, 0)  # white on it has a contrast of 9 to 1, and it prints and captures as dark gray
_CALM = (0, 70, 40)
MOST_PAGES = 40  # the longest report that is taken, 64 KiB of prose, has 20
_PAGES = "\ue000\ue000"  # stands for the number of pages, as wide as two digits; no text has it, since no font shows it


class TooManyPages(NotPrintable):
    """A report would fill more pages than anybody reads."""


class Paper(Enum):
    """Sizes of a page."""

    A4 = "A4"
    LETTER = "Letter"


def as_pdf(sheet: Sheet, *, fonts: Fonts, paper: Paper = Paper.A4, created: datetime) -> bytes:
    """Write the PDF of a sheet.

    created: for the file's own dates; the same moment gives the same bytes.

    Raises FontMissing: a character that no font here shows; TooManyPages.
    """
    with TemporaryDirectory(prefix="wetread-fonts-") as folder:
        pages = _Pages(sheet, fonts, paper, Path(folder))
        pages.set_creation_date(created)
        try:
            pages.add_page()
            pages.print_body()
            return bytes(pages.output())
        finally:
            pages.close_fonts()


class _Pages(FPDF):
    """The pages while they are written. folder: for fonts, until the bytes are there."""

    def __init__(self, sheet: Sheet, fonts: Fonts, paper: Paper, folder: Path) -> None:
        super().__init__(format=paper.value)
        self._sheet = sheet
        self._in_head = False
        self._add_fonts(fonts, folder)
        self.set_text_shaping(True)
        self.set_margins(_MARGIN, 14, _MARGIN)
        self.c_margin = 0.0
        self.set_auto_page_break(True, margin=_FOOT + 4)
        self.set_title(f"{sheet.title} - {sheet.status}")
        self.set_creator("wetread")
        self.set_lang("en-US")
        self.alias_nb_pages(_PAGES)

    def header(self) -> None:
        """Banner, then whose report it is. Raises TooManyPages, also where the head alone fills a page."""
        if self._in_head or self.page_no() > MOST_PAGES:
            raise TooManyPages(f"the report fills more than {MOST_PAGES} pages; send it in a form without pages")
        self._in_head = True
        self._print_banner()
        if self.page_no() > 1:
            self._print_key()
        else:
            self._print_head()
        self._in_head = False

    def footer(self) -> None:
        """Status, the narrative's identifier, and which page of how many."""
        self.set_y(-_FOOT)
        self._rule()
        self._set("bold", 9, _BLACK if self._sheet.stage in FINAL else _ALARM)
        self.cell(self.epw - 40, 5, self._sheet.status)
        self._set("text", 9, _BLACK)
        self.cell(
            40, 5, f"Page {self.page_no()} of {self.str_alias_nb_pages}", align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )
        self._set("text", 7, _GREY)
        self.cell(0, 4, f"Document {self._sheet.identifier}")

    def print_body(self) -> None:
        """Everything between head and foot; pages break by themselves."""
        for section in self._sheet.sections:
            self._print_heading(section.heading)
            self._set("text", 11, _BLACK)
            for paragraph in section.text.split("\n"):
                self._paragraph(paragraph, 5.8)
        self._print_verification()
        if self._sheet.making:
            self._print_small("How this was written", self._sheet.making)
        if self._sheet.images:
            self._print_small("Images" if len(self._sheet.images) > 1 else "Image", "\n".join(self._sheet.images))

    def close_fonts(self) -> None:
        """Close the files of fonts, which stay open where the pages could not be finished."""
        for font in self.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def _add_fonts(self, fonts: Fonts, folder: Path) -> None:
        words = self._sheet.words
        latin, *others = fonts.needed(words)
        families = {"text": latin, "bold": fonts.face(BOLD), **{face.name: face for face in others}}
        for family, face in families.items():
            path = folder / f"{face.name}.otf"
            path.write_bytes(face.cut(words))
            self.add_font(family, "", path)
        self.set_fallback_fonts([*(face.name for face in others), "text"], exact_match=False)

    def _print_banner(self) -> None:
        lines = self._sheet.banner
        self.set_y(10)
        if not lines:
            return
        loud, quiet = lines[: self._sheet.loud], lines[self._sheet.loud :]
        sizes = [*((line, "bold", 15.0, 7.5) for line in loud), *((line, "text", 9.5, 5.0) for line in quiet)]
        self.set_fill_color(*_ALARM)
        self.rect(self.l_margin, self.y, self.epw, sum(self._height(*one) for one in sizes) + 4, style="F")
        self.ln(2)
        for line, family, size, height in sizes:
            self._set(family, size, _WHITE)
            self.multi_cell(0, height, line, align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(6)

    def _print_head(self) -> None:
        sheet = self._sheet
        self._set("bold", 15, _BLACK)
        self.cell(0, 8, sheet.title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        if sheet.stage in FINAL:
            self._set("bold", 10, _CALM)
            self.cell(0, 5, sheet.status, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(2)
        self._rule()
        for field in (*sheet.key, *sheet.fields):
            self._print_field(field.label, field.value)
        self.ln(1)
        self._rule()

    def _print_key(self) -> None:
        for field in self._sheet.key:
            self._print_field(field.label, field.value)
        self.ln(1)
        self._rule()
        self.ln(2)

    def _print_field(self, label: str, value: str) -> None:
        self._set("text", 9, _GREY)
        self.cell(_LABEL, 5.2, label)
        self._set("text", 10, _BLACK)
        self.multi_cell(0, 5.2, value, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _print_heading(self, heading: str) -> None:
        self.ln(4)
        if self.will_page_break(14):  # a heading never stands alone at the foot
            self.add_page()
        self._set("bold", 12, _BLACK)
        self.cell(0, 7, heading, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _print_verification(self) -> None:
        if not self._sheet.verified_by:
            return
        self._print_heading("Verified by")
        for one in self._sheet.verified_by:
            for number, line in enumerate(one.value.split("\n")):
                self._print_line(line, 10 if number else 11)
            if one.label:
                self._print_line(one.label, 10)
            self.ln(1.5)

    def _print_line(self, line: str, size: float) -> None:
        self._set("text", size, _BLACK)
        self.multi_cell(0, 5.2, line, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _print_small(self, heading: str, text: str) -> None:
        self.ln(3)
        self._set("bold", 8.5, _GREY)
        self.cell(0, 4.5, heading, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self._set("text", 8.5, _GREY)
        for line in text.split("\n"):
            self._paragraph(line, 4.3)

    def _paragraph(self, text: str, height: float) -> None:
        if not text.strip():
            self.ln(height)
            return
        align = "R" if runs_left(text) else "L"
        self.multi_cell(0, height, text.strip(), align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _height(self, text: str, family: str, size: float, height: float) -> float:
        """Height of a text once it is broken into lines."""
        self._set(family, size, _BLACK)
        measured = self.multi_cell(0, height, text, align="C", dry_run=True, output=MethodReturnValue.HEIGHT)
        return cast("float", measured)

    def _rule(self) -> None:
        self.set_draw_color(*_RULE)
        self.line(self.l_margin, self.y, self.w - self.r_margin, self.y)
        self.ln(1.5)

    def _set(self, family: str, size: float, color: tuple[int, int, int]) -> None:
        self.set_font(family, size=size)
        self.set_text_color(*color)
