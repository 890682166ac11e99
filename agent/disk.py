"""What `wetread check` says of the disk and of the store on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from sqlalchemy.orm import Session

from dicom_node import files, mark
from dicom_node.config import NodeConfig
from dicom_node.errors import StoreAway

Told = tuple[str, Literal["ok", "warning", "wrong"], str]
_REFUSED = "images are refused with 0xA700"


def examine(node: NodeConfig) -> Told:
    """Is the data folder there, can it be written to, and is there room?"""
    folder, reserve = node.data_folder, node.reserve_mebibytes
    try:
        if not folder.exists():
            return "disk", "wrong", f"{folder} does not exist: is its disk mounted, and node.data_folder right?"
        free, read_only = files.free_mebibytes(folder), files.is_read_only(folder)
    except OSError as error:
        return "disk", "wrong", f"{folder} cannot be reached ({error.strerror}): {_REFUSED}; is its disk broken?"
    if read_only:
        words = "the system log says why; then: mount -o remount,rw"
        return "disk", "wrong", f"{folder} is on a disk that is mounted read-only: {_REFUSED}; {words}"
    if free < reserve:
        return "disk", "wrong", f"{free} MiB free, below the reserve of {reserve}: {_REFUSED}"
    if free < 2 * reserve:
        return "disk", "warning", f"{free} MiB free; at {reserve} images are refused. Lower node.keep_days?"
    return "disk", "ok", f"{free} MiB free"


def examine_store(node: NodeConfig, tx: Session) -> Iterator[Told]:
    """Without its films and documents nothing is received, read or sent, and nothing says so at a study."""
    try:
        mark.require(tx, node.store_folder)
    except StoreAway as away:
        yield "store", "wrong", f"the store is away: {away}. {mark.CURE}"
