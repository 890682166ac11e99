"""Who says "I looked" has had the film before the eyes: on the page, every film that a reader could be given.

The page sends the numbers of what it has painted; a script that a person lets loose must send them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicom_node.errors import WetreadError
from reports.web.film import Films, FilmsBusy, FilmTrouble, Shelved


class Unseen(WetreadError):
    """A film was not shown that could have been."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was shown to a person, by the numbers of films. hopeless: what can be shown to nobody."""

    shown: frozenset[int]
    hopeless: frozenset[int]

    def must_be_all(self, films: Sequence[Shelved]) -> int:
        """Was everything shown that can be, and anything at all? Gives how many were. films: those of the study, now.

        Raises Unseen.
        """
        wanted = {one.instance_id for one in films if not one.words}
        seen = wanted & self.shown
        if not seen:
            raise Unseen("Not done. The film was not shown on this page: all of it must be in sight first.")
        if wanted - seen - self.hopeless:
            raise Unseen(
                f"Not done. {len(seen)} of {len(wanted)} films were shown on this page; look at the others, too."
            )
        return len(seen)


def looked(films: Sequence[Shelved], decoder: Films | None, shown: frozenset[int]) -> Looked:
    """What a person has had before the eyes. It takes as long as it takes to decode what was not shown."""
    missing = [one for one in films if not one.words and one.instance_id not in shown]
    return Looked(shown, frozenset(one.instance_id for one in missing if not _can_be_shown(one, decoder)))


def _can_be_shown(one: Shelved, decoder: Films | None) -> bool:
    if decoder is None:
        return False
    try:
        decoder.preview(one.digest)
    except FilmsBusy:
        return True
    except FilmTrouble:
        return False
    return True
