"""Who says "I looked" has had the film before the eyes: on the page, every film that a reader could be given.

The page sends the numbers of what it has painted; a script that a person lets loose must send them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dicom_node.errors import WetreadError
from reports.web.film import MOST_FILMS, NO_DECODER, Films, FilmTrouble, Shelved


class Unseen(WetreadError):
    """A film was not shown that could have been."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was shown to a person, by the numbers of films. hopeless: what can be shown to nobody.

    trouble: why a film that is missing cannot be shown at this moment, in words; empty where it can, or nobody asked.
    """

    shown: frozenset[int]
    hopeless: frozenset[int] = frozenset()
    trouble: str = ""

    def must_be_all(self, films: Sequence[Shelved]) -> int:
        """Was everything shown that can be, and anything at all? Gives how many were. films: all of the study, now.

        Raises Unseen.
        """
        wanted = {one.instance_id for one in films if not one.words}
        seen = wanted & self.shown
        if not seen:
            raise Unseen("Not done. The film was not shown on this page: all of it must be in sight first.")
        if wanted - seen - self.hopeless:
            counted = f"{len(seen)} of {len(wanted)} films {'was' if len(seen) == 1 else 'were'} shown"
            raise Unseen(f"Not done. {counted} on this page; {self._why(films)}")
        return len(seen)

    def _why(self, films: Sequence[Shelved]) -> str:
        if len(films) > MOST_FILMS:
            return f"it lists no more than {MOST_FILMS}."
        if self.trouble:
            return f"another one cannot be shown at this moment: {self.trouble}"
        return "look at the others, too."


def looked(films: Sequence[Shelved], decoder: Films | None, shown: frozenset[int]) -> Looked:
    """What a person has had before the eyes. films: all of the study.

    Decodes what was not shown, up to the first film that will be demanded; nothing where it is refused in any case.
    """
    wanted = [one for one in films if not one.words]
    missing = [one for one in wanted if one.instance_id not in shown]
    if len(missing) == len(wanted) or len(films) > MOST_FILMS:  # beyond the list nothing is tried: it may be any number
        return Looked(shown)
    hopeless: set[int] = set()
    for one in missing:
        trouble = _trouble(one, decoder)
        if trouble is None or trouble.passes:
            return Looked(shown, frozenset(hopeless), trouble.explanation if trouble else "")
        hopeless.add(one.instance_id)
    return Looked(shown, frozenset(hopeless))


def _trouble(one: Shelved, decoder: Films | None) -> FilmTrouble | None:
    """Of what the page counts as shown: every value, not the small picture."""
    if decoder is None:
        return NO_DECODER
    try:
        decoder.pixels(one.digest)
    except FilmTrouble as trouble:
        return trouble
    return None
