"""The report as one HTML file that needs nothing else: for a browser, a mail gateway or a printer.

Whatever a header or a reader wrote is text here and never markup; the page loads and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from dicom_node.kinds import FINAL
from reports.page.sheet import Field, Section, Sheet

_STYLE = """
:root { color-scheme: light dark; --ink: #111; --paper: #fff; --quiet: #555; --rule: #bbb; --alarm: #960000; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #16181b; --quiet: #a5a9ae; --rule: #444; --alarm: #a80000; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 48rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 "Noto Sans", system-ui, sans-serif; overflow-wrap: anywhere; }
.banner { position: sticky; top: 0; padding: .75rem 1rem; margin-bottom: 1.25rem; text-align: center;
  color: #fff; background: var(--alarm); }
.banner p { margin: 0; font-size: .9rem; }
.banner .loud { font-weight: 700; font-size: 1.3rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 1.5rem 0 .25rem; }
.status { font-weight: 700; }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .1rem 1rem; padding: .75rem 0; margin: .75rem 0;
  border-block: 1px solid var(--rule); }
dt { color: var(--quiet); }
dd { margin: 0; text-align: left; }
.text { white-space: pre-wrap; margin: 0; }
footer { margin-top: 2rem; padding-top: .5rem; border-top: 1px solid var(--rule); color: var(--quiet);
  font-size: .85rem; }
@media print {
  body { max-width: none; padding: 0; color: #000; background: #fff; }
  .banner { position: static; color: #000; background: #fff; border: 3px solid #000; }
  h2 { break-after: avoid; }
}
"""
# No script, no frame, no picture, no font from anywhere; the style is in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def as_html(sheet: Sheet) -> str:
    """Write a sheet as a page of HTML, in the order of its PDF."""
    parts = [
        *_banner(sheet),
        "<main>",
        f"<h1>{escape(sheet.title)}</h1>",
        *([f'<p class="status">{escape(sheet.status)}</p>'] if sheet.stage in FINAL else []),
        _list((*sheet.key, *sheet.fields)),
        *(_section(section) for section in sheet.sections),
        *_verification(sheet.verified_by),
        "</main>",
        *_footer(sheet),
    ]
    return "\n".join([_head(sheet), "<body>", *parts, "</body>", "</html>", ""])


def _head(sheet: Sheet) -> str:
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en-US">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(sheet.status)} - {escape(sheet.title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
        )
    )


def _banner(sheet: Sheet) -> Iterable[str]:
    if sheet.banner:
        yield '<div class="banner" role="alert">'
        for number, line in enumerate(sheet.banner):
            loud = ' class="loud"' if number < sheet.loud else ""
            yield f"<p{loud}>{escape(line)}</p>"
        yield "</div>"


def _list(fields: Iterable[Field]) -> str:
    """Each value decides its own direction, whatever stands beside it."""
    rows = (f'<dt>{escape(field.label)}</dt><dd dir="auto">{escape(field.value)}</dd>' for field in fields)
    return "\n".join(["<dl>", *rows, "</dl>"])


def _section(section: Section) -> str:
    paragraphs = (f'<p class="text" dir="auto">{escape(line) or "&nbsp;"}</p>' for line in section.text.split("\n"))
    return "\n".join(["<section>", f"<h2>{escape(section.heading)}</h2>", *paragraphs, "</section>"])


def _verification(verified_by: tuple[Field, ...]) -> Iterable[str]:
    if verified_by:
        yield "<section>"
        yield "<h2>Verified by</h2>"
        for one in verified_by:
            yield from (f'<p class="text" dir="auto">{escape(line)}</p>' for line in one.value.split("\n"))
            if one.label:
                yield f'<p class="text">{escape(one.label)}</p>'
        yield "</section>"


def _footer(sheet: Sheet) -> Iterable[str]:
    yield "<footer>"
    if sheet.making:
        yield f'<p class="text">{escape(sheet.making)}</p>'
    if sheet.images:
        yield "<p>Images: " + "<br>".join(escape(uid) for uid in sheet.images) + "</p>"
    yield f"<p>Document {escape(sheet.identifier)}</p>"
    yield "</footer>"
