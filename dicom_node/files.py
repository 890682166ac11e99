"""Files that never change: an object is written beside its place, made durable, and moved in under its own digest.

The name comes from the content, never from the network: no UID can name a path, and one name never gets two contents.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from dicom_node.errors import CannotUnderstand, NotFound, StoreAway

MARK: Final = "store.mark"  # in the store: tells it from the empty folder under an unmounted disk
PREAMBLE = 132  # 128 bytes and "DICM" (PS3.10 7.1)
_GROUP_LENGTH = struct.Struct("<HH2sHI")  # (0002,0000) UL 4 and its value, explicit VR little endian
_BLOCK = 1 << 20
_WRITTEN_SECONDS = 2.0  # after which an empty mark is none that another writes just now


def dataset_offset(path: Path) -> int:
    """Where the data set starts in a Part 10 file whose meta information begins with its group length (PS3.10 7.1).

    Raises CannotUnderstand.
    """
    with path.open("rb") as stream:
        head = stream.read(PREAMBLE + _GROUP_LENGTH.size)
    if len(head) < PREAMBLE + _GROUP_LENGTH.size or head[128:132] != b"DICM":
        raise CannotUnderstand("no Part 10 file")
    group, element, _vr, _length, value = _GROUP_LENGTH.unpack_from(head, PREAMBLE)
    if (group, element) != (2, 0):
        raise CannotUnderstand("file meta information without group length")
    return PREAMBLE + _GROUP_LENGTH.size + int(value)


def digest_of_dataset(path: Path, transfer_syntax_uid: str) -> str:
    """SHA-256 of the transfer syntax and the data set, 64 hexadecimal digits.

    The file meta information is left out: it names the program that wrote it, not what was sent.
    """
    digest = hashlib.sha256(transfer_syntax_uid.encode("utf-8", "replace") + b"\0")
    with path.open("rb") as stream:
        stream.seek(dataset_offset(path))
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def stored_path(store: Path, digest: str) -> Path:
    """The path of a stored file. 256 folders keep listings short."""
    return store / digest[:2] / f"{digest}.dcm"


def require(store: Path, mark: str = "") -> None:
    """Raises StoreAway: without the folder nothing can be said of any object, and it is not made in its place.

    mark: what it must carry; empty: whatever it is, but a mark.
    """
    try:
        found = mark_of(store)
    except OSError as error:
        raise StoreAway(f"{store} cannot be reached ({error.strerror}); what waits goes on by itself") from error
    if found and found == (mark or found):
        return
    cure = "mount its disk, or put the folder back; what waits goes on by itself"
    if found:
        raise StoreAway(f"{store} carries another mark ({MARK}) than the database names: {cure}")
    if store.is_dir():
        raise StoreAway(f"{store} carries no mark ({MARK}), as an empty mount point does not: {cure}")
    raise StoreAway(f"{store} is not there: {cure}")


def mark_of(store: Path) -> str:
    """What the store is marked with; empty where there is no store, or no mark. Raises OSError."""
    try:
        return (store / MARK).read_text("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def make_store(store: Path, mark: str) -> str:
    """Make the folder where there is none, and mark it durably where it has no mark. Returns its mark. Raises OSError.

    Of several who make it at the same moment one gives the mark, and all return that one. Whoever calls it knows that
    no disk belongs there.
    """
    for folder in (store.parent, store):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not mark_of(store):
        part = store / f"{MARK}.{os.getpid()}.{secrets.token_hex(4)}.part"  # others may make the same store now
        try:
            part.write_text(f"{mark}\n", "ascii")
            sync_file(part)
            _put_once(part, store / MARK)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(store)
        _sync_folder(store.parent)
    return mark_of(store)


def _put_once(part: Path, target: Path) -> None:
    """Give a durable file its name unless another was given it first; an empty one, of a write that broke, is none."""
    with suppress(FileExistsError):
        if not _link(part, target):  # no hard links here, as on SMB and vfat
            with target.open("xb") as stream:
                stream.write(part.read_bytes())
            sync_file(target)
    until = time.monotonic() + _WRITTEN_SECONDS
    while not target.read_bytes().strip():
        if time.monotonic() > until:
            part.replace(target)
        time.sleep(0.01)


def _link(part: Path, target: Path) -> bool:
    """Can the file system do it? Raises FileExistsError."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def adopt(part: Path, store: Path, digest: str) -> Path:
    """Move a whole object into the store and make it durable: fsync the file, rename, fsync the folder.

    Raises StoreAway, and OSError where the disk does not play along.
    """
    require(store)
    target = stored_path(store, digest)
    _make_folder(target.parent)
    sync_file(part)
    part.replace(target)
    _sync_folder(target.parent)
    require(store)  # once more: else a disk that went in between would have left the object in its mount point
    return target


def write_document(store: Path, payload: bytes) -> str:
    """Store one of our own documents durably and return its digest (SHA-256 of the whole file). Raises StoreAway."""
    require(store)
    digest = hashlib.sha256(payload).hexdigest()
    target = stored_path(store, digest)
    with suppress(FileNotFoundError):
        os.utime(target)  # it is wanted again: no orphan, although no row names it yet
        return digest
    _make_folder(target.parent)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(payload)
    sync_file(part)
    part.replace(target)
    _sync_folder(target.parent)
    return digest


def read_document(store: Path, digest: str) -> bytes:
    """Read one of our own documents and prove that it is what was written.

    Raises NotFound: the file is absent, or its content is no longer what its name says. StoreAway: all are.
    """
    path = stored_path(store, digest)
    try:
        payload = path.read_bytes()
    except FileNotFoundError:
        require(store)
        raise NotFound(f"the document {digest[:12]} is missing in {store}; restore it from a backup") from None
    if hashlib.sha256(payload).hexdigest() != digest:
        raise NotFound(f"the document {digest[:12]} in {store} is damaged; restore it from a backup")
    return payload


def quarantine(part: Path, folder: Path, digest: str) -> None:
    """Keep the bytes of a refused object for a person to look at."""
    folder.mkdir(mode=0o700, exist_ok=True)  # never its parents: they may have gone this very moment
    part.replace(folder / f"{digest}.dcm")


def sync_file(path: Path) -> None:
    """Force a file's bytes to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_mebibytes(folder: Path) -> int:
    """Free space where `folder` lies."""
    return shutil.disk_usage(folder).free >> 20


def is_read_only(folder: Path) -> bool:
    """Is the disk mounted so that nothing can be written, as a kernel does where it finds it broken? Raises OSError."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def sweep(incoming: Path, *, older_than_seconds: float) -> int:
    """Delete what broken associations left behind; returns how many files. A folder that is away holds nothing."""
    if not incoming.is_dir():
        return 0
    limit = time.time() - older_than_seconds
    swept = 0
    for path in incoming.iterdir():
        if path.is_file() and path.stat().st_mtime <= limit:
            path.unlink(missing_ok=True)
            swept += 1
    return swept


def trim(folder: Path, *, older_than_seconds: float, most_bytes: int) -> int:
    """Delete what is old, and the oldest of the rest until it fits; returns how many files."""
    limit = time.time() - older_than_seconds
    deleted, total = 0, 0
    found = [(path.stat(), path) for path in folder.glob("*.dcm")]
    for status, path in sorted(found, key=lambda pair: pair[0].st_mtime, reverse=True):
        total += status.st_size
        if status.st_mtime <= limit or total > most_bytes:
            path.unlink(missing_ok=True)
            deleted += 1
    return deleted


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(exist_ok=True)  # never its parents: the store may have gone this very moment
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    sync_file(folder)
