"""Which films of our studies a destination has named in an answer. That it sent one to us does not show that it has it.

It may have passed them on, keep them under other UIDs, or answer nothing at IMAGE level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from dicom_node.database import Database, clock
from dicom_node.known_tables import KnownFilm
from dicom_node.tables import Instance, Role, Study
from dicom_node.transports import Film
from dicom_node.worklist.known import count
from dicom_node.worklist.turns import take_turn


@dataclass(frozen=True, slots=True)
class Films:
    """What one destination has of one study of ours."""

    database: Database
    destination: str
    study_instance_uid: str

    def among(self, uids: Iterable[str]) -> Sequence[Film]:
        """Those with these SOP Instance UIDs; what else is referred to is left out."""
        chosen = (
            select(Instance.id, Study.study_instance_uid, Instance.series_instance_uid, Instance.sop_instance_uid)
            .join(Study, Study.id == Instance.study_id)
            .where(
                Study.study_instance_uid == self.study_instance_uid, Instance.sop_instance_uid.in_(sorted(set(uids)))
            )
            .where(Instance.role == Role.IMAGE, Instance.conflict.is_(False))
            .order_by(Instance.id)
        )
        with self.database.read() as tx:
            return [Film(*row) for row in tx.execute(chosen)]

    def has_named(self, film: Film) -> bool:
        """Has the destination ever had it?"""
        with self.database.read() as tx:
            return tx.get(KnownFilm, (film.instance_id, self.destination)) is not None

    def answered(self, film: Film, *, there: bool) -> int:
        """Book an answer; how many in a row have been without the film, 0 where the destination never named it."""
        key = (film.instance_id, self.destination)
        with self.database.read() as tx:
            known = tx.get(KnownFilm, key)
            if (known is not None and known.misses == 0) if there else known is None:
                return 0
        with self.database.write() as tx:
            take_turn(tx, "known films")  # two answers may come at once: no row to lock yet
            known = tx.get(KnownFilm, key)
            if known is None:
                known = KnownFilm(instance_id=film.instance_id, destination=self.destination, misses=0)
                tx.add(known)
            if there:
                known.misses, known.missed_at = 0, None
            else:
                count(known, clock(tx))
            return known.misses
