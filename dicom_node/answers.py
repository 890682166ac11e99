"""What a C-STORE request is answered where it is not success (PS3.4 B.2.3): a status and a comment."""

from __future__ import annotations

from errno import errorcode

from pydicom import Dataset
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import OutOfResources, StoreAway, StoreFailure


def answer(failure: StoreFailure) -> Dataset:
    """The status and Error Comment (0000,0902) of a failure."""
    response = Dataset()
    response.Status = failure.status
    response.ErrorComment = failure.comment
    return response


def passing(trouble: Exception) -> OutOfResources:
    """0xA700 for what is no fault of the object, naming the part of us that has it."""
    if isinstance(trouble, StoreAway):
        words = "the store is away"
    elif isinstance(trouble, OSError):
        words = f"disk trouble ({errorcode.get(trouble.errno or 0, 'unknown')})"
    else:
        words = "database trouble" if isinstance(trouble, SQLAlchemyError) else "trouble of ours"
    return OutOfResources(f"{words}, send again later")


def too_full(free: int, reserve: int) -> OutOfResources:
    """0xA700 below `node.reserve_mebibytes`; both in MiB."""
    return OutOfResources(f"disk: {free} MiB free, reserve {reserve}; send again later")


def paused() -> OutOfResources:
    """0xA700 in an association that was open when a person paused receiving."""
    return OutOfResources("a person paused receiving; send again later")
