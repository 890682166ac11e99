"""So many of something, in words that are right for one of it as well."""

from __future__ import annotations

import re


def counted(number: int, one: str, many: str = "") -> str:
    """`1 study`, `2 studies`, `2 days`. many: where it is not `one` with an s, or with ies for a y behind no vowel."""
    if number == 1:
        return f"1 {one}"
    return f"{number} {many or re.sub(r'(?<![aeou])ys$', 'ies', f'{one}s')}"
