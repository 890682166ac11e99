"""Having a peer give us films by C-GET (PS3.4 C.4.3): they come on the association that asked for them.

What comes is received as at our port: the same bounds, the same files and books, and success only once it is durable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]

from dicom_node import contexts
from dicom_node.aet import typed
from dicom_node.errors import SendFailure
from dicom_node.peer import Address, Opened, associate, named
from dicom_node.reconcile import Series, concluded, keys_of, patiently
from dicom_node.storage import Storage

GET: Final = str(StudyRootQueryRetrieveInformationModelGet)
_NO_END: Final = 1 << 62  # bytes of one association: each object, and the disk, have bounds of their own


def have_given(
    address: Address, study_instance_uid: str, series: Iterable[Series], storage: Storage, *, maximum_pdu_size: int
) -> int:
    """C-GET these series into `storage`; how many objects came.

    maximum_pdu_size: unless the peer has one of its own.
    Raises SendFailure: also where some of them failed.
    """
    storage.prepare_folders()
    storage.receive_into_files()
    terms = replace(address.terms, maximum_pdu_size=address.terms.maximum_pdu_size or maximum_pdu_size)
    opened = associate(
        replace(patiently(address), terms=terms),
        [GET],
        [(evt.EVT_C_STORE, storage.handle_store)],
        also=[(uid, syntax) for uid in contexts.RADIOGRAPHS for syntax in contexts.AS_STORED],
        as_scp=contexts.RADIOGRAPHS,
        longest_answer=_NO_END,
    )
    intake = storage.make_intake(terms.maximum_pdu_size)
    try:
        _must_give(opened)
        intake.watch(opened.association)
        return sum(_get(opened, keys_of(study_instance_uid, one)) for one in series)
    except SendFailure as failure:
        if intake.trouble:
            raise SendFailure(f"what {address.peer_ae_title} gives was cut off: {intake.trouble}") from None
        raise (opened.excess() or failure) from None
    finally:
        opened.close()


def _must_give(opened: Opened) -> None:
    """Raises SendFailure where the peer takes no C-GET, or does not let us be who stores."""
    title = opened.address.peer_ae_title
    if not opened.takes(GET):
        cure = f"if it can be told to send: wetread ae edit {typed(title)} --retrieve move"
        raise SendFailure(f"{opened.address.where} takes no {named(GET)}; {cure}", class_refused=True)
    accepted = opened.association.accepted_contexts
    if not any(context.as_scp and str(context.abstract_syntax) in contexts.RADIOGRAPHS for context in accepted):
        words = f"{opened.address.where} takes {named(GET)}, but no class of films to give (SCP role of Storage)"
        raise SendFailure(words, class_refused=True)


def _get(opened: Opened, keys: Dataset) -> int:
    final = Dataset()
    try:
        for status, _ in opened.association.send_c_get(keys, GET):
            final = status
    except RuntimeError as error:
        raise SendFailure(f"{opened.address.peer_ae_title} ended the association during C-GET") from error
    return concluded(final, opened, "C-GET")
