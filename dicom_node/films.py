"""The same picture in two objects: a copy in its own study, or a sign that somebody's film got into another's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.film_tables import FilmPixels
from dicom_node.tables import Instance, Study


@dataclass(frozen=True, slots=True)
class Twin:
    """Another object with the same pixels, in another study. same_patient: by Patient ID and its issuer."""

    study_id: int
    same_patient: bool


def remember(tx: Session, instance: Instance, digest: str) -> bool:
    """Keep the digest of a decoded film; returns whether it was new."""
    if tx.get(FilmPixels, instance.id) is not None:
        return False
    tx.add(FilmPixels(instance_id=instance.id, digest=digest))
    tx.flush()
    return True


def twins(tx: Session, instance: Instance, digest: str) -> Sequence[Twin]:
    """The other studies in which the same pixels were seen, oldest first."""
    own = tx.get_one(Study, instance.study_id)
    others = tx.scalars(
        select(Study)
        .join(Instance, Instance.study_id == Study.id)
        .join(FilmPixels, FilmPixels.instance_id == Instance.id)
        .where(FilmPixels.digest == digest, Study.id != own.id)
        .distinct()
        .order_by(Study.id)
    ).all()
    whose = (own.patient_id, own.issuer_of_patient_id)
    return [Twin(other.id, (other.patient_id, other.issuer_of_patient_id) == whose) for other in others]


def of_two_patients(tx: Session, study_id: int, files: Collection[str]) -> bool:
    """Whether the picture of a film of the study was seen in another patient's study. files: digests of the films."""
    seen = (
        select(Instance, FilmPixels.digest)
        .join(FilmPixels, FilmPixels.instance_id == Instance.id)
        .where(Instance.study_id == study_id, Instance.digest.in_(files))
    )
    found = (twin for instance, digest in tx.execute(seen).all() for twin in twins(tx, instance, digest))
    return any(not twin.same_patient for twin in found)
