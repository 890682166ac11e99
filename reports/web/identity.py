"""Whose study the PACS says it is: asked when a draft is opened, told on the page, believed for a few minutes.

The network is not spoken here: `IdentityCheck` is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_description

from reports.signoff.tables import Identity


@dataclass(frozen=True, slots=True)
class Checked:
    """What destinations said. asked: their names. differing: keywords, such as PatientID. trouble, lost: sentences.

    lost: of films that one of them had. The patient is the same all the same: it bars no signature.
    """

    outcome: Identity
    asked: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


IdentityCheck = Callable[[Dataset], Checked]
"""Asks the study's destinations whose study it is; the argument is the draft. Takes seconds; raises nothing."""

_WORDS: Final = MappingProxyType(
    {
        Identity.SAME: "The PACS agrees",
        Identity.DIFFERS: "The PACS has another patient or order: signing is blocked",
        Identity.UNKNOWN: "The PACS does not say whose study this is",
        Identity.NOBODY: "There is no PACS to ask",
    }
)


def ask_nobody(_draft: Dataset) -> Checked:
    """What is said where the application lends no check."""
    return Checked(Identity.NOBODY)


def in_words(outcome: Identity | None, said: Checked | None = None) -> str:
    """A phrase for the page. said: of the check just made; afterwards only the outcome is known."""
    if outcome is None:
        return "The PACS has not been asked yet"
    words = _WORDS[outcome]
    if said is None:
        return words
    if said.differing:
        words = f"{words} ({_listed([dictionary_description(keyword) for keyword in said.differing])})"
    if said.trouble:
        words = f"{words}: {' '.join(said.trouble)}"
    elif said.asked:
        words = f"{words} ({_listed(said.asked)} asked)"
    return ". ".join([words, *said.lost])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
