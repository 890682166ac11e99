"""Narratives of every stage, to make pages of."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from pydicom import Dataset

from reports.objects.basic_text import build_notice
from reports.objects.signed import build_addendum, build_signed
from reports.objects.signer import Signature, Signer
from reports.page.fonts import Fonts, find_fonts
from reports.text import DraftText
from tests.unit.reports.films import CONFIG, MOMENT, draft, film, provenance

FINDINGS = "Small left effusion.\n\nHeart size ≤ normal."
ADDENDUM = "Compared with CT: no change."
FIRST = Signature(Signer("Reader^Rita", "Example Hospital"), MOMENT + timedelta(minutes=5))
SECOND = Signature(Signer("Chief^Carl", "Example Hospital"), MOMENT + timedelta(minutes=9))


@cache
def fonts() -> Fonts:
    """The fonts of this machine."""
    return find_fonts()


def signed(*signatures: Signature, of: Dataset | None = None) -> Dataset:
    """A signed report; cosigned where there are two signatures."""
    source = draft() if of is None else of
    words = DraftText(FINDINGS, "Effusion on the left.")
    return build_signed(
        source,
        words,
        signatures or (FIRST,),
        number=1,
        not_before=MOMENT,
        config=CONFIG,
        predecessor=None,
    )


def added() -> Dataset:
    """A signed report with an addendum."""
    return build_addendum(signed(), ADDENDUM, SECOND, number=2, not_before=FIRST.at, config=CONFIG, predecessor=None)


def notice() -> Dataset:
    """A document that says why there is no draft."""
    return build_notice([film()], "The film is a lateral.", provenance(), revision=1, content_at=MOMENT, config=CONFIG)


def long_draft(**changes: str) -> Dataset:
    """A draft of several pages."""
    words = DraftText("The heart size is normal without effusion. " * 150, "No acute process.")
    return draft(film(**changes), text=words)


def every_stage() -> dict[str, Dataset]:
    """One narrative of each stage."""
    return {
        "draft": draft(),
        "signed": signed(),
        "cosigned": signed(FIRST, SECOND),
        "addendum": added(),
        "notice": notice(),
    }
