"""The files that objects are streamed into while they come, and what is done where that is not possible.

pynetdicom writes them in the thread that reads from the connection. What is raised there ends the association without
an answer, and a sender may take that for anything; so trouble is kept until the request can be answered with 0xA700.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from pynetdicom import dimse_messages
from pynetdicom.dimse_primitives import C_STORE

from dicom_node import files


class Part:
    """One object that comes. What pynetdicom uses of the `tempfile.NamedTemporaryFile` that it asks for."""

    def __init__(self, open_file: Callable[[], IO[bytes]], nowhere: Path) -> None:
        """`nowhere`: what it is called where `open_file` raises OSError; no such file is made."""
        self.trouble: OSError | None = None
        self.name = str(nowhere)
        self._stream: IO[bytes] | None = None
        try:
            self._stream = open_file()
            self.name = self._stream.name
        except OSError as error:
            self.trouble = error

    @property
    def file(self) -> Self:
        """What pynetdicom flushes."""
        return self

    def write(self, chunk: bytes) -> int:
        """Write it, or drop it where it cannot be kept. Returns its length."""
        if self._stream is not None and self.trouble is None:
            try:
                self._stream.write(chunk)
            except OSError as error:
                self.trouble = error
        return len(chunk)

    def flush(self) -> None:
        """Hand over to the disk what was written."""
        if self._stream is not None and self.trouble is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.trouble = error

    def close(self) -> None:
        """Nothing more will be written."""
        if self._stream is not None:
            with suppress(OSError):  # of bytes that could not be written before either
                self._stream.close()


def stream_into(incoming: Path, store: Path) -> None:
    """Have this process stream the objects that it receives into files of `incoming`.

    The folder is made again where it has gone from beside the `store`.
    """

    def open_file() -> IO[bytes]:
        try:
            return _open(incoming)
        except FileNotFoundError:
            files.require(store)  # an unmounted disk gets no folder in its place
            incoming.mkdir(mode=0o700, exist_ok=True)
            return _open(incoming)

    tempfile.tempdir = str(incoming)  # where pynetdicom should ask for files in another way some day
    dimse_messages.NamedTemporaryFile = lambda **_: Part(open_file, incoming / "nowhere")  # type: ignore[assignment,attr-defined]


def trouble_of(request: C_STORE) -> OSError | None:
    """Why what came with this request is not, or not whole, in its file."""
    part: Any = request._dataset_file
    return part.trouble if isinstance(part, Part) else None


def _open(incoming: Path) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(dir=incoming, delete=False, mode="wb", suffix=".dcm")
