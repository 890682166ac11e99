"""The decoding process: it survives what files do to it, and says what happened."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from agent.imaging.decoder import DecoderProcess
from agent.imaging.pixels import UndecodableImage, render
from tests.harness.node import wait_until


@pytest.fixture
def decoder() -> Iterator[DecoderProcess]:
    with DecoderProcess(20.0, 512) as process:
        yield process


def write(path: Path, side: int = 64, **change: object) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows = dataset.Columns = side
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = np.linspace(0, 4095, side * side).astype(np.uint16).tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in change.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def code_of(decoder: DecoderProcess, path: Path) -> str:
    with pytest.raises(UndecodableImage) as caught:
        decoder.render(path)
    return caught.value.code


def freeze(pid: int) -> None:
    """Stop the child, as a codec does that never returns."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "the child to stand still")


def unread(pipe: Connection) -> bool:
    """Is there something in it that the other end has not taken out?"""
    count: int = struct.unpack("i", fcntl.ioctl(pipe.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    return count > 0


def is_over(pid: int) -> bool:
    """Has the process ended, whether or not its parent knows?"""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_the_film_is_the_same_as_in_this_process(decoder: DecoderProcess, tmp_path: Path) -> None:
    path = write(tmp_path / "größe 1.dcm")
    there, here = decoder.render(path), render(path)
    assert np.array_equal(there.pixels, here.pixels)
    assert there.notes == here.notes
    assert there.pixels.shape == (64, 64)


def test_one_child_serves_many_films(decoder: DecoderProcess, tmp_path: Path) -> None:
    assert decoder.pid is None  # started when needed
    path = write(tmp_path / "film.dcm")
    decoder.render(path)
    first = decoder.pid
    assert code_of(decoder, write(tmp_path / "frames.dcm", NumberOfFrames=3)) == "multi-frame"
    decoder.render(path)
    assert decoder.pid == first


def test_a_stalled_decoder_is_killed_and_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "film.dcm")
    with DecoderProcess(20.0, 512) as decoder:
        decoder.render(path)
        stalled = decoder.pid
        assert stalled is not None
        freeze(stalled)
        decoder._timeout = 0.5  # a sound child has longer, for it may be slow
        assert code_of(decoder, path) == "decode-timeout"
        assert not psutil.pid_exists(stalled)
        decoder._timeout = 20.0
        assert decoder.render(path).pixels.shape == (64, 64)


def test_a_crash_while_decoding_is_an_error_of_the_file(decoder: DecoderProcess, tmp_path: Path) -> None:
    path = write(tmp_path / "film.dcm")
    decoder.render(path)
    crashed = decoder.pid
    assert crashed is not None
    freeze(crashed)  # so that the request is certainly in its hands
    pipe = decoder._pipe
    assert pipe is not None

    def kill_when_asked() -> None:
        wait_until(lambda: unread(pipe), "the request")
        os.kill(crashed, signal.SIGKILL)

    killer = threading.Thread(target=kill_when_asked)
    killer.start()
    assert code_of(decoder, path) == "decoder-crashed"
    killer.join()
    assert decoder.render(path).pixels.shape == (64, 64)


def test_a_child_that_died_idle_is_replaced_without_a_word(decoder: DecoderProcess, tmp_path: Path) -> None:
    path = write(tmp_path / "film.dcm")
    decoder.render(path)
    first = decoder.pid
    assert first is not None
    os.kill(first, signal.SIGSEGV)
    wait_until(lambda: is_over(first), "the child to die")
    assert decoder.render(path).pixels.shape == (64, 64)


def test_memory_is_limited_inside(tmp_path: Path) -> None:
    large = write(tmp_path / "large.dcm", side=3000)
    with DecoderProcess(20.0, 24) as decoder:
        assert code_of(decoder, large) in {"out-of-memory", "unreadable-file"}
        assert decoder.render(write(tmp_path / "small.dcm")).pixels.shape == (64, 64)
    with DecoderProcess(20.0, 512) as decoder:
        assert decoder.render(large).pixels.shape == (3000, 3000)


def test_a_closed_decoder_leaves_no_process_and_may_start_again(tmp_path: Path) -> None:
    path = write(tmp_path / "film.dcm")
    decoder = DecoderProcess(20.0, 512)
    decoder.render(path)
    pid = decoder.pid
    decoder.close()
    decoder.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert decoder.render(path).pixels.shape == (64, 64)
    decoder.close()


def test_the_child_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "film.dcm")
    code = (
        "import os, sys; from pathlib import Path; from agent.imaging.decoder import DecoderProcess\n"
        "d = DecoderProcess(20.0, 512); d.render(Path(sys.argv[1])); print(d.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    wait_until(lambda: is_over(pid), "the child to end")


def test_the_decoder_loads_no_torch() -> None:
    code = "import sys, agent.imaging.decoder, agent.imaging.gate; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_it_works_in_a_forked_child(tmp_path: Path) -> None:
    path = write(tmp_path / "film.dcm")
    code = (
        "import os, sys; from pathlib import Path; from agent.imaging.decoder import DecoderProcess\n"
        "d = DecoderProcess(20.0, 512)\n"
        "if os.fork() == 0:\n"
        "    print(d.render(Path(sys.argv[1])).pixels.shape, flush=True); d.close(); os._exit(0)\n"
        "os._exit(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(64, 64)"


def test_garbage_is_refused_and_the_child_stays(decoder: DecoderProcess, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.dcm"
    garbage.write_bytes(b"\x08\x00\x05\x00UN\x00\x00\xf0\xff\xff\x7f" + bytes(100))
    assert code_of(decoder, garbage) in {"unreadable-file", "no-pixels"}
    first = decoder.pid
    nested = b"".join(b"\x08\x00\x40\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" for _ in range(20000))
    deep = tmp_path / "deep.dcm"
    deep.write_bytes(nested)
    assert code_of(decoder, deep) in {"unreadable-file", "no-pixels", "decoder-crashed"}
    assert decoder.render(write(tmp_path / "film.dcm")).pixels.shape == (64, 64)
    assert first is not None
