"""A handout as PDF, with the fonts of the reports."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace, TTFFont

from reports.handout import Block, Handout, Prose, Table
from reports.page.fonts import BOLD, Fonts
from reports.page.pdf import Paper

_MARGIN: Final = 16.0  # mm
_PAGES: Final = "\ue000\ue000"  # stands for the number of pages


def handout_pdf(handout: Handout, *, fonts: Fonts, paper: Paper = Paper.A4, created: datetime) -> bytes:
    """Write the PDF; the same moment gives the same bytes. Raises FontMissing."""
    with TemporaryDirectory(prefix="wetread-fonts-") as folder:
        pages = _Pages(handout, fonts, paper, Path(folder))
        pages.set_creation_date(created)
        try:
            pages.print_all()
            return bytes(pages.output())
        finally:
            pages.close_fonts()


class _Pages(FPDF):
    """The pages while they are written. folder: for fonts, until the bytes are there."""

    def __init__(self, handout: Handout, fonts: Fonts, paper: Paper, folder: Path) -> None:
        super().__init__(format=paper.value)
        self._handout = handout
        words = handout.words + "Page of 0123456789\u00a0"
        latin, *others = fonts.needed(words)
        for family, face in {"text": latin, "bold": fonts.face(BOLD), **{one.name: one for one in others}}.items():
            path = folder / f"{face.name}.otf"
            path.write_bytes(face.cut(words))
            self.add_font(family, "", path)
        self.set_fallback_fonts([one.name for one in others], exact_match=False)
        self.set_margins(_MARGIN, _MARGIN, _MARGIN)
        self.set_auto_page_break(True, margin=_MARGIN)
        self.set_title(handout.title)
        self.set_creator("wetread")
        self.set_lang("en-US")
        self.alias_nb_pages(_PAGES)

    def footer(self) -> None:
        """Which page of how many."""
        self.set_y(-_MARGIN + 4)
        self.set_font("text", size=8)
        self.cell(0, 4, f"Page {self.page_no()} of {self.str_alias_nb_pages}", align="R")

    def print_all(self) -> None:
        """Everything; pages break by themselves."""
        self.add_page()
        self._heading(self._handout.title, 17)
        for section in self._handout.sections:
            self.ln(3)
            self._heading(section.heading, 13 if section.level == 2 else 11)
            for block in section.blocks:
                self._print(block)
                self.ln(2)

    def close_fonts(self) -> None:
        """Close the files of fonts."""
        for font in self.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def _heading(self, text: str, size: float) -> None:
        self.set_font("bold", size=size)
        self.multi_cell(0, size * 0.5, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(1)

    def _print(self, block: Block) -> None:
        self.set_font("text", size=9.5)
        if isinstance(block, Prose):
            self.multi_cell(0, 5, block.text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        elif isinstance(block, Table):
            self._table(block)
        else:
            self.set_fill_color(240, 240, 240)
            self.set_font("text", size=8.5)
            lines = block.lines.replace("  ", "\u00a0\u00a0")
            self.multi_cell(0, 4.4, lines, align="L", fill=True, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _table(self, block: Table) -> None:
        self.set_font("text", size=8.5)
        longest = [
            min(60, max(len(row[column]) for row in (block.header, *block.rows))) for column in range(len(block.header))
        ]
        with self.table(
            col_widths=tuple(max(8, length) for length in longest),
            line_height=4.4,
            text_align="LEFT",
            headings_style=FontFace(family="bold"),
            padding=0.8,
        ) as table:
            for cells in (block.header, *block.rows):
                row = table.row()
                for cell in cells:
                    row.cell(cell)
