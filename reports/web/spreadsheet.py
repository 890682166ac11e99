"""Tables for spreadsheets: CSV (RFC 4180) in UTF-8, in which no cell is a formula."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"  # without it spreadsheets on Windows read UTF-8 as Latin 1
_BEGINS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
# Where the semicolon separates (many countries of Europe), quotes that stand within a cell hold nothing together.
_FORMULA_FOLLOWS: Final = re.compile(r"[;\t\r\n]\s*(?=[=+\-@])")


def line(cells: Sequence[object]) -> str:
    """One row, ended by CR LF."""
    out = StringIO()
    csv.writer(out).writerow([_cell(value) for value in cells])
    return out.getvalue()


def document(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """The whole file."""
    return BYTE_ORDER_MARK + line(header) + "".join(line(row) for row in rows)


def _cell(value: object) -> str | int | float:
    """What a spreadsheet would compute gets an apostrophe (OWASP, CSV injection); a number stays one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    text = _FORMULA_FOLLOWS.sub(r"\g<0>'", str(value).replace("\0", ""))
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text
