"""Text of others may be shown: it steers nothing, and turns and hides nothing that stands beside it."""

from __future__ import annotations

import sys

import pytest

from dicom_node.characters import JOINERS, UNPRINTABLE, disarm

# What becomes of a character on a terminal, in a table of one line, and on a page, as the three places ask for it.
TABLE = {
    "letter": ("é", "é", "é", "é"),
    "Korean": ("\uc870", "\uc870", "\uc870", "\uc870"),
    "blank": (" ", " ", " ", " "),
    "line end": ("\n", "\ufffd", "?", "\n"),
    "tab": ("\t", "\ufffd", "?", ""),
    "escape": ("\x1b", "\ufffd", "?", ""),
    "C1 control": ("\x9b", "\ufffd", "?", ""),
    "lone surrogate": ("\udcff", "\ufffd", "?", ""),
    "right-to-left override": ("\u202e", "\ufffd", "?", ""),
    "isolate": ("\u2066", "\ufffd", "?", ""),
    "mark of direction": ("\u200e", "\u200e", "?", ""),
    "joiner": ("\u200d", "\u200d", "?", "\u200d"),
    "soft hyphen": ("\xad", "\xad", "?", ""),
    "no-break space": ("\xa0", "\xa0", "?", "\xa0"),
    "line separator": ("\u2028", "\u2028", "?", "\u2028"),
    "private use": ("\ue000", "\ue000", "?", "\ue000"),
    "unassigned": ("\U000e0fff", "\U000e0fff", "?", "\U000e0fff"),
}


@pytest.mark.parametrize(("character", "terminal", "row", "page"), TABLE.values(), ids=TABLE.keys())
def test_each_place_gets_what_it_can_show(character: str, terminal: str, row: str, page: str) -> None:
    text = f"a{character}b"

    assert disarm(text, instead="\ufffd") == f"a{terminal}b"
    assert disarm(text, instead="?", also=UNPRINTABLE, keep=" ") == f"a{row}b"
    assert disarm(text, also=frozenset({"Cf"}), keep=f"\n{JOINERS}") == f"a{page}b"


def test_unprintable_is_what_python_takes_for_it() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))

    assert disarm(everything, also=UNPRINTABLE, keep=" ") == "".join(filter(str.isprintable, everything))
