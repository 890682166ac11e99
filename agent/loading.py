"""Modules loaded without a search for garbage: what is loaded stays for as long as the process lives.

While thousands of objects come, Python looks through all that came before for what nobody needs any more, again and
again, and finds nothing: a fifth of the processor time of the start of `web`, an eighth of that of the reader.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Around imports alone: what works meanwhile may make garbage that holds films."""
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()
