"""A paper for people who set up the other side: prose, tables and what to type, as text, Markdown and HTML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 100

_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.5rem; max-width: 60rem; font: 1rem/1.5 "Noto Sans", system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; margin: .75rem 0; }
th, td { border: 1px solid #999; padding: .2rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
pre { padding: .75rem; border: 1px solid #999; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Prose:
    """One paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header, all of the same length."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """What to type, line for line."""

    lines: str


Block = Prose | Table | Typed


@dataclass(frozen=True, slots=True)
class Section:
    """level: 2 below the title, 3 below that."""

    heading: str
    blocks: tuple[Block, ...]
    level: int = 2


@dataclass(frozen=True, slots=True)
class Handout:
    """The whole paper."""

    title: str
    sections: tuple[Section, ...]

    @property
    def words(self) -> str:
        """Every character that is printed."""
        return "".join([self.title, *(word for section in self.sections for word in _words(section))])


def _words(section: Section) -> Iterator[str]:
    yield section.heading
    for block in section.blocks:
        if isinstance(block, Table):
            yield from (cell for row in (block.header, *block.rows) for cell in row)
        else:
            yield block.text if isinstance(block, Prose) else block.lines


def as_text(handout: Handout) -> str:
    """For a terminal or a mail; lines of at most 100 characters but for what is to be typed."""
    lines = [handout.title, "=" * len(handout.title)]
    for section in handout.sections:
        lines += ["", section.heading, ("-" if section.level == 2 else "~") * len(section.heading)]
        for block in section.blocks:
            lines += ["", *_plain(block)]
    return "\n".join(lines) + "\n"


def _plain(block: Block) -> Iterable[str]:
    if isinstance(block, Prose):
        return textwrap.wrap(block.text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    if isinstance(block, Typed):
        return [f"    {line}".rstrip() for line in block.lines.splitlines()]
    widths = _widths((block.header, *block.rows))
    rows = [block.header, tuple("-" * width for width in widths), *block.rows]
    return [line for row in rows for line in _row(row, widths)]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Every column as wide as its longest cell; the last one gets what is left of the line."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = _WIDTH - sum(width + 2 for width in widths[:-1])
    widths[-1] = min(widths[-1], max(30, left))
    return widths


def _row(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    wrapped = textwrap.wrap(row[-1], widths[-1], break_long_words=False, break_on_hyphens=False) or [""]
    cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
    yield "  ".join([*cells, wrapped[0]]).rstrip()
    for more in wrapped[1:]:
        yield "  ".join([*(" " * width for width in widths[:-1]), more])


def as_markdown(handout: Handout) -> str:
    """For a folder of documents."""
    lines = [f"# {handout.title}"]
    for section in handout.sections:
        lines += ["", f"{'#' * section.level} {section.heading}"]
        for block in section.blocks:
            lines += ["", *_marked(block)]
    return "\n".join(lines) + "\n"


def _marked(block: Block) -> Iterable[str]:
    if isinstance(block, Prose):
        return textwrap.wrap(block.text, 120, break_long_words=False, break_on_hyphens=False)
    if isinstance(block, Typed):
        return ["```", *block.lines.splitlines(), "```"]
    rows = [block.header, tuple("---" for _ in block.header), *block.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def as_html(handout: Handout) -> str:
    """One file that loads and runs nothing."""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{escape(handout.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(handout.title)}</h1>",
    ]
    for section in handout.sections:
        parts.append(f"<h{section.level}>{escape(section.heading)}</h{section.level}>")
        parts += [_tagged(block) for block in section.blocks]
    return "\n".join([*parts, "</body>\n</html>\n"])


def _tagged(block: Block) -> str:
    if isinstance(block, Prose):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Typed):
        return f"<pre>{escape(block.lines)}</pre>"
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in block.header)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in block.rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
