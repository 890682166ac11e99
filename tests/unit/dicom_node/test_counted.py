"""What is counted is said right of one as well."""

from __future__ import annotations

import pytest

from dicom_node.counted import counted


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("study",), "0 studies"),
        (1, ("study",), "1 study"),
        (2, ("study",), "2 studies"),
        (2, ("day",), "2 days"),
        (1, ("document",), "1 document"),
        (3, ("document",), "3 documents"),
        (1, ("study waits", "studies wait"), "1 study waits"),
        (2, ("study waits", "studies wait"), "2 studies wait"),
    ],
)
def test_one_is_singular_and_every_other_number_plural(number: int, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said
