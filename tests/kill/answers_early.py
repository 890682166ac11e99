"""The planted bug: a listener that answers 0x0000 first and commits a moment later. The kill test must notice."""

from __future__ import annotations

import threading
import time

from agent.cli import main
from dicom_node.storage import SUCCESS, Storage, _Delivered

_receive = Storage._receive


def _answer_first(self: Storage, delivered: _Delivered) -> int:
    copy = delivered.part.with_suffix(".early")
    copy.write_bytes(delivered.part.read_bytes())
    late = _Delivered(copy, *(getattr(delivered, name) for name in _Delivered.__slots__[1:]))

    def commit() -> None:
        time.sleep(0.3)
        _receive(self, late)

    threading.Thread(target=commit, daemon=True).start()
    return SUCCESS


Storage._receive = _answer_first  # type: ignore[assignment,method-assign]
main()
