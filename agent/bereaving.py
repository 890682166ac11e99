"""Notices for studies that end in `dispatch`: their last attempt nobody lived to book, or a rule excludes them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import structlog
from pydicom import Dataset
from sqlalchemy import Exists, Select, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute

from agent import __version__
from agent.desk import Desk
from dicom_node import worklist
from dicom_node.database import clock
from dicom_node.destinations import destinations
from dicom_node.errors import CannotUnderstand, StoreAway, WetreadError
from dicom_node.files import require, stored_path
from dicom_node.headers import open_header
from dicom_node.kinds import Stage
from dicom_node.tables import Book, Delivery, Revision, Study, Workitem
from dicom_node.worklist import Claim
from dicom_node.worklist.routings import EXCLUDED_BY_RULE
from dicom_node.worklist.workitems import WORKER_LOST, as_claim
from reports import drafts
from reports.provenance import Provenance

log = structlog.get_logger("dispatch")

_WORDS: Final = "The reading failed; a person is told."
_RECENT: Final = timedelta(days=1)  # whoever asks for notices later gets none of what is long known
_AT_ONCE: Final = 20


class Bereaver:
    """One page of buried studies without a notice at a time, so that none keeps the others waiting.

    Remembers where it is, for which ones no notice can be made, and which failure it has complained of.
    """

    def __init__(self, desk: Desk, *, at_once: int = _AT_ONCE) -> None:
        self._desk = desk
        self._at_once = at_once
        self._after = 0
        self._done: frozenset[int] = frozenset()
        self._failed: frozenset[int] = frozenset()

    def step(self) -> int:
        """Queue the notices that are missing; returns for how many studies."""
        with self._desk.database.read() as tx:
            if not any(one.notices for one in destinations(tx)):
                return 0
            recent = Revision.closed_at > clock(tx) - _RECENT
            found = tx.scalars(_buried().where(recent, Workitem.id > self._after).limit(self._at_once)).all()
            claims = [(as_claim(one), _words(one)) for one in found if one.id not in self._done]
        self._after = found[-1].id if len(found) == self._at_once else 0
        told = sum(self._tell(claim, words) for claim, words in claims)
        if told:
            log.info("notices_of_lost_studies", studies=told)
        return told

    def _tell(self, claim: Claim, words: str) -> bool:
        """Build it, durable, and queue it unless it is not true any more. What may pass is tried again later."""
        from agent import drafting  # noqa: PLC0415  what documents are made with takes seconds to load
        from agent.imaging.attributes import BROKEN  # noqa: PLC0415

        try:
            headers = list(self._headers(claim.study_id))
            notice = drafting.write_notice(self._desk, claim, headers, words, _ourselves())
            with self._desk.database.write() as tx:
                drafting.queue_notice(tx, claim, notice)
                queued = tx.scalar(select(_notice_of(claim.revision_id))) is True
        except (WetreadError, MemoryError, SQLAlchemyError, *BROKEN) as error:  # the others must not wait for it
            self._leave_out(claim, error)
            return False
        self._done |= {claim.workitem_id}
        return queued

    def _leave_out(self, claim: Claim, error: Exception) -> None:
        """Say once that there is no notice; for good unless the disk or the database is why."""
        if claim.workitem_id not in self._failed:
            log.warning("notice_left_out", workitem=claim.uid, kind=type(error).__name__)
        self._failed |= {claim.workitem_id}
        if not _may_pass(error):
            self._done |= {claim.workitem_id}

    def _headers(self, study_id: int) -> Iterator[Dataset]:
        """Every header that can be read, without what the PACS has rejected where there is more.

        Raises StoreAway, and OSError: none can be read, and of one the disk is why.
        """
        from agent.imaging.attributes import BROKEN  # noqa: PLC0415

        with self._desk.database.read() as tx:
            instances = worklist.images_of(tx, study_id)
            rejected = drafts.rejected_images(tx, study_id)
        standing = [one for one in instances if one.sop_instance_uid not in rejected]
        read, store = 0, self._desk.config.node.store_folder
        trouble: OSError | None = None
        for instance in standing or instances:
            path = stored_path(store, instance.digest)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # they quote what stands in the header
                    header = open_header(path)
            except FileNotFoundError:
                require(store)
                continue
            except (CannotUnderstand, MemoryError, *BROKEN) as error:
                trouble = error if isinstance(error, OSError) and _may_pass(error) else trouble
                continue
            read += 1
            yield header
        if trouble is not None and not read:
            raise trouble


def _may_pass(error: Exception) -> bool:
    """Of the disk, the memory or the database; pydicom raises an OSError without a number for broken bytes."""
    return isinstance(error, SQLAlchemyError | MemoryError | StoreAway) or (
        isinstance(error, OSError) and error.errno is not None
    )


def _buried() -> Select[Workitem]:
    """What `dispatch` made a dead letter of, or a rule excluded, and nobody was told."""
    lost = (Revision.book == Book.DEAD_LETTERED) & (Revision.reason == WORKER_LOST)
    ruled_out = (Revision.book == Book.EXCLUDED) & (Revision.reason == EXCLUDED_BY_RULE)
    return (
        select(Workitem)
        .join(Revision, Revision.id == Workitem.revision_id)
        .join(Study, (Study.id == Revision.study_id) & (Study.revision == Revision.number))
        .where(
            or_(lost, ruled_out),
            Study.hold_reason == "",
            Workitem.content_at.is_not(None),
            ~_notice_of(Revision.id),
        )
        .order_by(Workitem.id)
    )


def _notice_of(revision_id: int | InstrumentedAttribute[int]) -> Exists:
    """Whether one is queued, whatever has become of it."""
    return select(Delivery.id).where(Delivery.revision_id == revision_id, Delivery.stage == Stage.NOTICE).exists()


def _words(workitem: Workitem) -> str:
    """Why there is no draft, for who reads it in a PACS: a rule's reason, without its name."""
    revision = workitem.revision
    return revision.explanation.partition(": ")[2] if revision.reason == EXCLUDED_BY_RULE else _WORDS


def _ourselves() -> Provenance:
    """The writer: nothing was read, and which reader it would have been is known to its worker only."""
    return Provenance(
        reader_name="wetread dispatch",
        reader_version=__version__,
        manufacturer="wetread",
        precision="none",
        digest=hashlib.sha256(f"wetread dispatch {__version__}".encode()).hexdigest(),
        notice="",
        generation="nothing generated",
        software_version=__version__,
        films=(),
    )
