"""How far a cue reaches back: "large effusion, pneumothorax not seen" denies the pneumothorax only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from reports.findings.labels import State
from reports.findings.said import Said, Weight

_A_PAIR: Final = 2


def reached(row: Sequence[Said], *, listed: bool, each: bool) -> Iterator[tuple[Said, bool]]:
    """The mentions that a cue behind the last of `row` speaks of, from there on, and whether it surely does.

    A row that ends with "or" is one list, also where the word behind the "or" is not known (`listed`), but for the
    "large" that it begins with: "large effusion, edema or pneumothorax not seen" leaves the effusion open. Else a comma
    parts what has words of its own, such as "small left", or devices, from what follows, and an "and" leaves them open.
    A bare pair, and what a "with" joins, may be meant or not, and neither may a row that has nothing but commas before
    `each`, a bare "resolved".
    """
    surely, anded = True, False
    following: Said | None = None
    for this in reversed(row):
        listed = listed or (following is not None and "or" in following.parted)
        if following is not None and (this.weight is Weight.WHOLE or (following.parted and _is_denied(this))):
            return
        if listed and following is not None and following.parted[-1:] == (",",):
            surely = surely and this.weight is not Weight.STATED  # "bilateral pneumonia, effusion or edema absent"
            surely = surely and not (this.weight and this is row[0])
        if not listed and following is not None and following.parted:
            if "with" in following.parted:
                surely = False
            elif following.parted[-1] == ",":
                if _is_parted(this, following, alone=len(row) == _A_PAIR, anded=anded):
                    return
                surely = surely and not (this.weight or following.weight is Weight.STATED or len(row) == _A_PAIR)
                surely = surely and (anded or not each)
            elif following.parted == ("and",) and not anded:
                surely = surely and this.weight <= following.weight
                surely = surely and (this.concept == "device") is (following.concept == "device")
            anded = anded or "and" in following.parted
        yield this, surely
        following = this


def _is_denied(this: Said) -> bool:
    """By words in front of it: "cardiomegaly, no effusion, edema resolved" says nothing more of the cardiomegaly."""
    return this.state is State.ABSENT and bool(this.cues) and not this.weak


def _is_parted(this: Said, following: Said, *, alone: bool, anded: bool) -> bool:
    """Does the comma between the two end a statement?"""
    if (this.concept == "device") is not (following.concept == "device"):
        return True
    if Weight.STATED in {this.weight, following.weight}:
        return not anded
    return this.weight is Weight.SIZED and alone
