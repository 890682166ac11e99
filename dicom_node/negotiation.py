"""Presentation contexts that are refused: films that nothing here could decode, and what the log says of all of them.

A film that was taken and cannot be decoded is a study without a draft. Refused, its sender codes it anew, or shows
whoever sends that nobody took it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import structlog
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from dicom_node import contexts

log = structlog.get_logger("listen")

_SYNTAXES_NOT_SUPPORTED: Final = 0x04  # PS3.8 9.3.3.2


def refuse_unreadable(association: Association) -> None:
    """See to it that contexts are refused which are for films that could not be decoded. Call it before negotiation.

    Where SOP classes that nobody knows are taken, pynetdicom takes every context of storage, whatever is supported, so
    it is undone between its decision and its answer.
    """
    unreadable = [context.context_id for context in _proposed(association) if contexts.is_unreadable(context)]
    if not unreadable:
        return
    answer = association.acse.send_accept

    def refuse_and_answer() -> None:
        for number in unreadable:
            accepted = association._accepted_cx.pop(cast(int, number), None)
            if accepted is not None:
                accepted.result = _SYNTAXES_NOT_SUPPORTED
                association._rejected_cx.append(accepted)
        answer()

    association.acse.send_accept = refuse_and_answer  # type: ignore[method-assign]


def tell_what_was_refused(event: evt.Event) -> None:
    """Say which objects the peer cannot send in this association; it sees no more than a refused context."""
    association = event.assoc
    refused = {context.context_id for context in association.rejected_contexts}
    proposed = [context for context in _proposed(association) if context.context_id in refused]
    unreadable = [context for context in proposed if contexts.is_unreadable(context)]
    _tell(
        association,
        [context for context in proposed if context not in unreadable],
        "no storage SOP class of studies, or no transfer syntax that this node can carry",
    )
    _tell(
        association,
        unreadable,
        "films in these transfer syntaxes cannot be decoded here: the sender must code them in another one, of those "
        "in: wetread sheet --conformance",
    )


def _proposed(association: Association) -> list[PresentationContext]:
    request = cast(A_ASSOCIATE, association.requestor.primitive)
    return request.presentation_context_definition_list


def _tell(association: Association, refused: Sequence[PresentationContext], explanation: str) -> None:
    classes = sorted({str(context.abstract_syntax) for context in refused})
    if classes:
        log.warning(
            "contexts_refused",
            calling_ae_title=association.requestor.ae_title,
            sop_classes=classes,
            transfer_syntaxes=sorted({UID(syntax).name[:64] for one in refused for syntax in one.transfer_syntax}),
            explanation=explanation,
        )
