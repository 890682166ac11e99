"""What is remembered of films: whose pixels were seen where, and which exclusions people overruled."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from dicom_node.tables import Base


class FilmPixels(Base):
    """The digest of one decoded film: the same picture has it under every UID, header and lossless compression."""

    __tablename__ = "film_pixels"

    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64), index=True)


class Overruling(Base):
    """A person wants a study to be read although the gate excluded it; `code` is the reason that no longer counts."""

    __tablename__ = "overruling"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(String(64), primary_key=True)
    actor: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
