"""What the gate says of a film, from its header or from its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

AS_CONFIGURED: Final = "read in spite of that, as configured"  # behind a doubt, where `imaging.doubts` is "note"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` is a word for the books; the explanation holds no patient data; notes say what was assumed.

    Of several doubts the first one gives the code; the explanation and the notes have all of them.
    """

    decision: Literal["read", "exclude", "confirm"]
    code: str
    explanation: str
    notes: tuple[str, ...] = ()
