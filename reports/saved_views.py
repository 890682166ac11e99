"""Saved views of the worklist page: each person's own, a name for what stands in the page's address."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from dicom_node.errors import WetreadError
from dicom_node.tables import Base

MOST = 9  # each has a digit as its key
LONGEST_NAME = 40


class SavedView(Base):
    """One view of one person."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    query: Mapped[str] = mapped_column(Text)  # as in the address; the caller has read it and written it anew
    is_default: Mapped[bool] = mapped_column(default=False)  # what the plain page shows this person


class ViewRefused(WetreadError):
    """A view cannot be kept; the message says why."""


def views_of(tx: Session, user_id: int) -> Sequence[SavedView]:
    """A person's views in the order in which they were made."""
    return tx.scalars(select(SavedView).where(SavedView.user_id == user_id).order_by(SavedView.id)).all()


def save(tx: Session, user_id: int, name: str, query: str, *, is_default: bool) -> None:
    """Keep a view; one of the same name is replaced. Raises ViewRefused."""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    if not name or len(name) > LONGEST_NAME:
        raise ViewRefused(f"Give the view a name of 1 to {LONGEST_NAME} characters.")
    mine = tx.scalars(select(SavedView).where(SavedView.user_id == user_id).with_for_update()).all()
    found = next((view for view in mine if view.name == name), None)
    if found is None and len(mine) >= MOST:
        raise ViewRefused(f"{MOST} views are kept, one for each digit: delete one first.")
    if is_default:
        _forget_default(tx, user_id)
    if found is None:
        found = SavedView(user_id=user_id, name=name)
        tx.add(found)
    found.query, found.is_default = query, is_default
    tx.flush()


def make_default(tx: Session, user_id: int, view_id: int | None) -> None:
    """What the plain page shows this person; None: what it shows everybody."""
    _forget_default(tx, user_id)
    if view_id is not None:
        mine = (SavedView.user_id == user_id, SavedView.id == view_id)
        tx.execute(update(SavedView).where(*mine).values(is_default=True))


def remove(tx: Session, user_id: int, view_id: int) -> None:
    """Forget one; somebody else's stays."""
    tx.execute(delete(SavedView).where(SavedView.user_id == user_id, SavedView.id == view_id))


def _forget_default(tx: Session, user_id: int) -> None:
    tx.execute(update(SavedView).where(SavedView.user_id == user_id).values(is_default=False))
