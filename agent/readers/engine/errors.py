"""What can befall a reading in the engine, and whose fault it is."""

from __future__ import annotations

from typing import Final

import torch

from agent.readers.protocol import ReaderBroken, UnreadableText
from dicom_node.errors import WetreadError


class EngineError(WetreadError):
    """The engine could not finish a reading; the film need not be to blame."""


class Canceled(EngineError):
    """The caller wanted no more, or the engine was stopped."""


class PreparationFailed(EngineError):
    """The film could not be made into what the model takes."""


class PromptTooLong(EngineError):
    """Film and words together need more positions than a slot has."""


class DeviceFull(EngineError):
    """The device has no memory for even one reading."""


class EngineBroken(EngineError, ReaderBroken):
    """A step failed for all readings; the process has to be started again."""


_FULL: Final = (
    "can't allocate memory",
    "CUDA error: out of memory",  # not sticky: the device goes on
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

# What a study can do to itself on the way in: a film of a wrong size, a token that is none, a question too long.
OF_ONE_STUDY: Final = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, WetreadError)


def raise_if_of_all(error: BaseException) -> None:
    """A lack of memory, and an accelerator that no longer computes, are no fault of one study."""
    if is_out_of_memory(error) or isinstance(error, torch.AcceleratorError):
        raise error


def is_out_of_memory(error: BaseException | None) -> bool:
    """torch has a class for what its own allocator lacks; for what the processor, CUDA or its libraries lack there are
    only words. A capture that lacks memory ends with an error of its own, whose context is the lack."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(said in str(error) for said in _FULL):
            return True
        error = error.__context__
    return False


def prompt_too_long(taken: int, positions: int) -> PromptTooLong:
    """Positions that film and words take, and how many there are."""
    return PromptTooLong(
        f"Film and prompt take {taken} of {positions} positions, which leaves none for an answer. "
        f"Ask a shorter question, or give the slots more positions."
    )


def no_number() -> UnreadableText:
    """Weights or film gave NaN or infinity."""
    return UnreadableText("not-a-number", "The model computed values for this film that are no numbers.")


def no_room_for_weights(precision: str) -> DeviceFull:
    """Before a single slot is taken."""
    return DeviceFull(
        f"The device has no memory left for the weights in {precision}. Choose a smaller precision (nf4), free the "
        "device of other programs, or raise reader.memory_gibibytes. `wetread model info` says what each takes."
    )


def device_full() -> DeviceFull:
    """Not even one slot fits."""
    return DeviceFull(
        "The device has no memory left for even one reading. Choose a smaller precision (nf4), fewer positions, or "
        "free the device of other programs."
    )
