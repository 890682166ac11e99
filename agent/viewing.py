"""Films for the pages: decoded in processes of their own, a few at once, and remembered as long as there is room.

The web process never decodes. What is remembered lies in its memory alone: nothing is left on a disk.
"""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from agent.imaging.decoder import DecoderProcess, DecoderUnavailableError, Job
from agent.imaging.pixels import UndecodableImage
from dicom_node.files import stored_path
from reports.web.film import FilmsBusy, FilmTrouble, Picture

_MEBIBYTE: Final = 1 << 20
_HOPELESS_SECONDS: Final = 300.0
_MOST_HOPELESS: Final = 500
_COSTLY: Final = frozenset({"decode-timeout", "out-of-memory"})  # may pass, and each try holds a process for long
_OVERHEAD: Final = 512  # bytes of an entry beside its content; a description has about 600


class Recollection:
    """Answers by their question, the least recently used forgotten first, never more than so many bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._answers: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes

    def get(self, key: tuple[str, str]) -> bytes | None:
        """What was answered; None where it is forgotten."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def put(self, key: tuple[str, str], answer: bytes) -> None:
        """Remember it, unless it alone is too large."""
        if key in self._answers or len(answer) + _OVERHEAD > self._most:
            return
        self._answers[key] = answer
        self._bytes += len(answer) + _OVERHEAD
        while self._bytes > self._most:
            _, forgotten = self._answers.popitem(last=False)
            self._bytes -= len(forgotten) + _OVERHEAD


class Hopeless:
    """What could not be decoded, for some minutes: each try holds a decoding process as long as one film may take."""

    def __init__(self, seconds_of: Callable[[], float]) -> None:
        self._seconds_of = seconds_of
        self._found: OrderedDict[tuple[str, str], tuple[float, FilmTrouble]] = OrderedDict()

    def refuse(self, key: tuple[str, str]) -> None:
        """Raise FilmTrouble where it was tried in vain a moment ago."""
        until, trouble = self._found.get(key, (0.0, None))
        if trouble is not None and self._seconds_of() < until:
            raise FilmTrouble(trouble.code, trouble.explanation)

    def put(self, key: tuple[str, str], error: BaseException) -> None:
        """Remember what the film itself is to blame for; the oldest are forgotten beyond some hundreds."""
        if not isinstance(error, FilmTrouble) or (error.passes and error.code not in _COSTLY):
            return
        self._found.pop(key, None)
        trouble = FilmTrouble(error.code, error.explanation)  # without the frames that the error came through
        self._found[key] = (self._seconds_of() + _HOPELESS_SECONDS, trouble)
        while len(self._found) > _MOST_HOPELESS:
            self._found.popitem(last=False)


class Bench:
    """A few decoding processes for many threads; each goes on with the film that it has in its hands, if it can."""

    def __init__(self, decoders: Sequence[DecoderProcess], *, most_waiting: int, patience_seconds: float) -> None:
        self._idle = [(decoder, "") for decoder in decoders]
        self._most_waiting = most_waiting
        self._patience = patience_seconds
        self._waiting = 0
        self._change = threading.Condition()

    @contextmanager
    def decoder(self, digest: str) -> Iterator[DecoderProcess]:
        """One for this film alone. Raises FilmsBusy where too many wait, or none gets free in time."""
        taken = self._take(digest)
        try:
            yield taken
        finally:
            with self._change:
                self._idle.append((taken, digest))
                self._change.notify()

    def _take(self, digest: str) -> DecoderProcess:
        with self._change:
            if not self._idle:
                if self._waiting >= self._most_waiting:
                    raise _busy()
                self._waiting += 1
                try:
                    self._change.wait_for(lambda: bool(self._idle), self._patience)
                finally:
                    self._waiting -= 1
            if not self._idle:
                raise _busy()
            best = max(self._idle, key=lambda one: (one[1] == digest, one[0].pid is not None))
            self._idle.remove(best)
            return best[0]


class FilmRoom:
    """`reports.web.film.Films` of this installation: films of the store, decoded with the limits given here.

    seconds, mebibytes: for one film. children: at most, each started when it is needed. room_mebibytes: for answers.
    seconds_of: a clock; what cannot be decoded is not tried again for some minutes.
    """

    def __init__(
        self,
        store: Path,
        *,
        seconds: float = 60,
        mebibytes: int = 4096,
        children: int = 2,
        most_waiting: int = 12,
        room_mebibytes: int = 256,
        seconds_of: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        decoders = [DecoderProcess(seconds, mebibytes) for _ in range(children)]
        self._bench = Bench(decoders, most_waiting=most_waiting, patience_seconds=seconds)
        self._known = Recollection(room_mebibytes * _MEBIBYTE)
        self._hopeless = Hopeless(seconds_of)
        self._asked: dict[tuple[str, str], Future[bytes]] = {}
        self._lock = threading.Lock()
        self._closing = weakref.finalize(self, _close, decoders)

    def preview(self, digest: str) -> Picture:
        """See `viewable.Look.preview`."""
        return Picture(self._answer("preview", digest), "image/jpeg")

    def pixels(self, digest: str) -> Picture:
        """See `viewable.Look.values`."""
        return Picture(self._answer("values", digest), "application/octet-stream", "gzip")

    def describe(self, digest: str) -> Mapping[str, Any]:
        """See `viewable.facts`."""
        found: dict[str, Any] = json.loads(self._answer("describe", digest))
        return found

    def start(self) -> None:
        """Start one process now, for the first film not to wait for it; trouble comes up with that film."""
        with suppress(DecoderUnavailableError), self._bench.decoder("") as decoder:
            decoder.start()

    def close(self) -> None:
        """End the processes; they end with this object as well."""
        self._closing()

    def _answer(self, job: Job, digest: str) -> bytes:
        """Who asks for what somebody else is being answered waits for the same answer."""
        key = (job, digest)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                return known
            self._hopeless.refuse(key)
            asked, first = self._asked.get(key), key not in self._asked
            if asked is None:
                asked = self._asked[key] = Future()
        if not first:
            return asked.result()
        return self._settle(key, asked, lambda: self._decode(job, digest))

    def _settle(self, key: tuple[str, str], asked: Future[bytes], make: Callable[[], bytes]) -> bytes:
        try:
            answer = make()
        except BaseException as error:  # whoever waits must not wait for ever
            with self._lock:
                del self._asked[key]
                self._hopeless.put(key, error)
            asked.set_exception(error)
            raise
        with self._lock:
            del self._asked[key]
            self._known.put(key, answer)
        asked.set_result(answer)
        return answer

    def _decode(self, job: Job, digest: str) -> bytes:
        try:
            with self._bench.decoder(digest) as decoder:
                return decoder.look(job, stored_path(self._store, digest))
        except UndecodableImage as error:
            raise FilmTrouble(error.code, error.explanation) from error
        except DecoderUnavailableError as error:
            raise FilmsBusy("no-decoder", str(error)) from error


def _busy() -> FilmsBusy:
    return FilmsBusy("busy", "Too many films are being decoded at this moment.")


def _close(decoders: Sequence[DecoderProcess]) -> None:
    for decoder in decoders:
        decoder.close()
