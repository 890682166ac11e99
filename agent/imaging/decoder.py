"""Decoding in a process of its own: codecs hold the interpreter's lock, and a hostile file may crash or stall them.

The child is a fresh interpreter: it inherits no threads, sockets or models, imports no torch, and works inside a
Celery prefork child as well. It answers with plain bytes, never with pickles, since it handles hostile files.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import warnings
from contextlib import ExitStack
from dataclasses import asdict
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

import numpy as np

from agent.imaging.impression import as_impression, measure
from agent.imaging.pixels import Film, UndecodableImage, render
from agent.imaging.viewable import Look
from dicom_node.errors import WetreadError

_START_SECONDS: Final = 60.0
_MEBIBYTE: Final = 1 << 20

Job = Literal["describe", "preview", "values"]


class DecoderUnavailableError(WetreadError):
    """The decoding process does not start: trouble of this machine, not of the file."""


class DecoderProcess:
    """Renders films in a child that is started when needed and replaced after a crash or time-out.

    timeout_seconds: for one film. memory_mebibytes: what decoding may use beyond the interpreter itself.
    For one thread at a time.
    """

    def __init__(self, timeout_seconds: float = 60.0, memory_mebibytes: int = 2048) -> None:
        self._timeout = timeout_seconds
        self._memory = memory_mebibytes
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> DecoderProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id; None where none runs."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the child now, for the first film not to wait for it. Raises DecoderUnavailableError."""
        self._ready_pipe()

    def render(self, path: Path) -> Film:
        """Like `pixels.render`, and raises UndecodableImage on time-out, crash and lack of memory as well."""
        answer, pixels = self._ask("render", path)
        plane = np.frombuffer(pixels, dtype=np.uint8).reshape(answer["shape"])
        return Film(plane, tuple(answer["notes"]), answer["digest"], as_impression(answer["impression"]))

    def look(self, job: Job, path: Path) -> bytes:
        """What `viewable.Look` answers. Raises UndecodableImage, as `render` does."""
        return self._ask(job, path)[1]

    def _ask(self, job: str, path: Path) -> tuple[dict[str, Any], bytes]:
        pipe = self._ready_pipe()
        with ExitStack() as unanswered:
            unanswered.callback(self.close)  # a late answer could be taken for the next film's
            try:
                pipe.send_bytes(job.encode() + b" " + os.fsencode(path.absolute()))
                if not pipe.poll(self._timeout):
                    raise UndecodableImage("decode-timeout", f"Decoding took longer than {self._timeout:g} s.")
                answer = json.loads(pipe.recv_bytes())
                payload = b"" if "code" in answer else pipe.recv_bytes()
            except (EOFError, ConnectionError) as error:
                raise UndecodableImage("decoder-crashed", "The decoder crashed on this file.") from error
            unanswered.pop_all()
        if "code" in answer:
            raise UndecodableImage(answer["code"], answer["explanation"])
        return answer, payload

    def close(self) -> None:
        """End the child. Another `render` starts a new one."""
        child, pipe, self._child, self._pipe = self._child, self._pipe, None, None
        if pipe is not None:
            pipe.close()
        if child is not None:
            child.kill()
            child.wait()

    def _ready_pipe(self) -> Connection:
        if self._child is not None and self._child.poll() is not None:
            self.close()  # it died while idle: of the kernel's memory killer, for example
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        return self._pipe

    def _start(self) -> None:
        ours, theirs = Pipe()
        command = [
            sys.executable,
            "-m",
            "agent.imaging.decoder",
            str(theirs.fileno()),
            str(self._memory),
            str(self._timeout),
        ]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with theirs:
            self._child = subprocess.Popen(  # noqa: S603 -- our own interpreter, our own arguments
                command,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # codecs print what they find in files
                start_new_session=True,  # Ctrl-C is for the parent, which then closes this one
            )
        self._pipe = ours
        try:
            ready = ours.poll(_START_SECONDS) and ours.recv_bytes() == b"ready"
        except (EOFError, ConnectionError):
            ready = False
        if not ready:
            self.close()
            raise DecoderUnavailableError(
                "The decoding process does not start. Is there memory left? Try: python -m agent.imaging.decoder"
            )


def serve(pipe: Connection, memory_mebibytes: int, timeout_seconds: float) -> None:
    """Answer one path after the other until the parent is gone."""
    measure(np.zeros((64, 64), dtype=np.uint8))  # linear algebra takes its memory once, and ends the process without it
    _limit_memory(memory_mebibytes)
    pipe.send_bytes(b"ready")
    look = Look()
    while True:
        try:
            job, _, name = pipe.recv_bytes().partition(b" ")
        except (EOFError, ConnectionError):
            return
        signal.alarm(int(timeout_seconds) + 5)  # ends this process even inside a codec, if the parent no longer can
        try:
            told, payload = _answer(look, job.decode(), Path(os.fsdecode(name)))
        except UndecodableImage as error:
            _refuse(pipe, error.code, error.explanation)
        except MemoryError:
            _refuse(pipe, "out-of-memory", "Decoding the image needs more memory than it may have.")
        else:
            pipe.send_bytes(json.dumps(told).encode())
            pipe.send_bytes(payload)
        signal.alarm(0)


def _answer(look: Look, job: str, path: Path) -> tuple[dict[str, Any], bytes | memoryview]:
    if job != "render":
        return {}, look.jobs[job](path)
    film = render(path)
    seen = measure(film.pixels)
    told = {"shape": film.pixels.shape, "notes": film.notes, "digest": film.digest, "impression": asdict(seen)}
    return told, film.pixels.ravel().data  # of a plane the pipe would send the first row


def _refuse(pipe: Connection, code: str, explanation: str) -> None:
    pipe.send_bytes(json.dumps({"code": code, "explanation": explanation}).encode())


def _limit_memory(mebibytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + mebibytes * _MEBIBYTE
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's film


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with Connection(int(sys.argv[1])) as connection:
        serve(connection, int(sys.argv[2]), float(sys.argv[3]))
