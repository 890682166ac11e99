"""Who grades: a name, a link that opens once, and the browser that it was opened in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dicom_node.database import Database
from dicom_node.errors import ConfigurationError, NotFound, WrongState
from reports.grading.order import shuffled
from reports.grading.package import Package, PackageError, sha256
from reports.grading.tables import LONGEST_NAME, Act, Base, Given, Origin, Place, Rater, Turn, What


@contextmanager
def open_grades(package: Package) -> Iterator[Database]:
    """The grades of a package; made where there are none yet. Raises PackageError: they are about another one."""
    is_new = not package.grades.exists()
    database = Database(f"sqlite:///{package.grades}")
    try:
        if is_new:
            database.make_file()
        Base.metadata.create_all(database.engine)
        with database.write() as tx:
            origin = tx.get(Origin, 1)
            if origin is None:
                tx.add(Origin(id=1, package_digest=package.digest))
            elif origin.package_digest != package.digest:
                raise PackageError(
                    f"{package.folder}: the grades there are about another package; its list was changed or replaced"
                )
        yield database
    finally:
        database.close()


def add(tx: Session, package: Package, name: str, link: str, now: datetime) -> Rater:
    """A rater with an own order, and the link that lets one browser in.

    Raises ConfigurationError: no name. WrongState: there is one of that name.
    """
    name = well_named(name)
    rater = Rater(name=name, link_digest=sha256(link.encode()), session_digest="", added_at=now)
    try:
        tx.add(rater)
        tx.flush()
    except IntegrityError as error:
        raise WrongState(
            f"there is a rater {name!r} already; a new link: wetread eval reader-study raters link"
        ) from error
    order = shuffled(package.film_of(), f"{package.order_seed} {name}")
    tx.add_all(Turn(rater_id=rater.id, position=place, item=item) for place, item in enumerate(order, start=1))
    return rater


def well_named(name: str) -> str:
    """The name without spaces around it. Raises ConfigurationError: nobody can be called so."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"a rater's name has 1 to {LONGEST_NAME} characters; initials or a code will do")
    return name


def renew(tx: Session, name: str, link: str) -> Rater:
    """A new link; the old one, and the browser that came by it, are let in no more. Raises NotFound."""
    rater = named(tx, name)
    rater.link_digest, rater.session_digest = sha256(link.encode()), ""
    return rater


def remove(tx: Session, name: str, now: datetime, *, with_grades: bool) -> int:
    """Take a rater out with everything that the rater did; how many grades that were, which stays known.

    Raises NotFound. WrongState: grades were given, and nobody said that they may go.
    """
    rater = named(tx, name)
    graded = tx.scalar(select(func.count()).where(Turn.rater_id == rater.id, Turn.grade != "")) or 0
    if graded and not with_grades:
        raise WrongState(f"{rater.name} has given {graded} grades, which would be lost; --with-grades removes them too")
    for table in (Given, Turn):
        tx.execute(delete(table).where(table.rater_id == rater.id))
    tx.delete(rater)
    if graded:
        tx.add(Act(what=What.REMOVED, name=rater.name, graded=graded, at=now))
    return graded


def acts(tx: Session) -> list[Act]:
    """What the investigator did that the result should tell, in order: a result that was shown before the last grade
    was given, not one after it.
    """
    last = tx.scalar(select(func.max(Turn.graded_at)))
    found = tx.scalars(select(Act).order_by(Act.id))
    return [act for act in found if act.what != What.SHOWN or (last is not None and act.at < last)]


def shown(tx: Session, now: datetime) -> None:
    """Somebody has seen the result."""
    graded = tx.scalar(select(func.count()).where(Turn.grade != "")) or 0
    tx.add(Act(what=What.SHOWN, graded=graded, at=now))


def place(tx: Session, address: str | None) -> str:
    """How links begin: as is said, which is kept, or as last time; empty where nobody ever said."""
    kept = tx.get(Place, 1)
    if address is None:
        return "" if kept is None else kept.address
    tx.merge(Place(id=1, address=address))
    return address


def named(tx: Session, name: str) -> Rater:
    """Raises NotFound."""
    rater = tx.scalar(select(Rater).where(Rater.name == name.strip()))
    if rater is None:
        raise NotFound(f"there is no rater {name!r}; wetread eval reader-study raters list shows them")
    return rater


def expected(tx: Session, link: str) -> Rater | None:
    """Whom this link lets in; None: it was used, replaced, or never given."""
    return tx.scalar(select(Rater).where(Rater.link_digest == sha256(link.encode())))


def enter(tx: Session, link: str, session: str) -> Rater | None:
    """Use the link up and let the browser with this session in; None as `expected`."""
    rater = expected(tx, link)
    if rater is not None:
        rater.link_digest, rater.session_digest = "", sha256(session.encode())
    return rater


def known(tx: Session, session: str) -> Rater | None:
    """Whose browser this is."""
    return tx.scalar(select(Rater).where(Rater.session_digest == sha256(session.encode())))


def everybody(tx: Session) -> list[Rater]:
    """In the order of their coming."""
    return list(tx.scalars(select(Rater).order_by(Rater.id)))
