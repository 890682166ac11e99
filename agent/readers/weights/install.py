"""Putting a model in place: everything is fetched and proved in a folder beside, which then takes the name in one step.

What is half there is never taken for a model: it lies in FOLDER.partial, each file under another name until its
digest is right. Run again, and only what lacks is fetched.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final, Protocol

from agent.readers.checkpoint import REVISION, Checkpoint, CheckpointError
from agent.readers.weights import origin, structure
from agent.readers.weights.errors import NotEnoughSpace, WrongContent
from agent.readers.weights.origin import CARD, Expected, Measured, Origin

MARGIN: Final = 256 << 20  # bytes that stay free beside the files
_CHUNK: Final = 8 << 20
_LOCK: Final = ".lock"

Say = Callable[[str], None]
Free = Callable[[Path], int]


class Source(Protocol):
    """Where files come from."""

    def fetch(self, repository: str, revision: str, file: Expected, part: Path) -> None:
        """Add to `part` what it lacks of the file."""

    def words(self, file: Expected, difference: str) -> str:
        """Of a file that was wrong twice: what is wrong and what to do. What came of it was thrown away."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be in place in the end."""

    repository: str
    revision: str
    files: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """A source that is a folder, such as a mounted USB disk."""

    path: Path

    def fetch(self, repository: str, revision: str, file: Expected, part: Path) -> None:  # noqa: ARG002
        """Copy the file; what stood in `part` is written anew. Raises OSError."""
        with (self.path / file.name).open("rb") as read, part.open("wb") as write:
            shutil.copyfileobj(read, write, _CHUNK)
            write.flush()
            os.fsync(write.fileno())
            # so that the proof reads what the disk holds and not what memory still remembers of it
            os.posix_fadvise(write.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def words(self, file: Expected, difference: str) -> str:
        """That the file in the folder is damaged."""
        return (
            f"{self.path / file.name} is not the file that it should be, also when copied twice: {difference}. "
            f"The copy was thrown away. The file there is damaged: copy it anew to {self.path} from where it was made, "
            f"then run the same command again"
        )


def free_bytes(folder: Path) -> int:
    """Free space where `folder` is or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def contents(folder: Path) -> Wanted:
    """What a folder offers for import. Raises CheckpointError: no model, or without a file that its origin names."""
    found = origin.known(folder)
    names = [*found.files]
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise CheckpointError(
            f"{folder} holds no model: config.json and *.safetensors are expected directly in it. "
            f"On a machine with network make one with: wetread model pull --to FOLDER"
        )
    files = []
    for name, expected in found.files.items():
        path = folder / name
        if not path.is_file():
            again = "" if origin.kind(names) else ", or mend it where it was made with: wetread model pull --to FOLDER"
            raise CheckpointError(
                f"{path} is missing, though {origin.ORIGIN} names it. Copy the whole folder again{again}"
            )
        files.append(Expected(name, expected.size or path.stat().st_size, expected.sha256, expected.blob))
    return Wanted(found.repository, found.revision, tuple(files))


def install(
    target: Path,
    source: Source,
    wanted: Wanted,
    *,
    say: Say,
    free: Free = free_bytes,
    published: structure.Size = structure.PUBLISHED,
) -> Origin:
    """Bring all files to `target`, or leave it as it was.

    published: the size without which nothing is taken for the published revision.

    Raises NotEnoughSpace, WrongContent, CheckpointError, HubUnreachable; OSError where the folder cannot be written.
    """
    target = target.resolve()
    check_target(target, {file.name for file in wanted.files})
    with staged(target) as stage:
        _adopt(target, stage, wanted.files)
        _check_space(stage, wanted.files, free)
        done = {}
        for number, file in enumerate(wanted.files, start=1):
            say(f"{number} of {len(wanted.files)}: {file.name}, {in_units(file.size or 0)}")
            measured = _bring(stage, source, wanted, file)
            done[file.name] = Expected(file.name, measured.size, measured.sha256)
        made = Origin(wanted.repository, wanted.revision, MappingProxyType(done))
        _sweep(stage, made)
        origin.write(stage, made)
        check(stage, wanted.revision, published)
        swap(stage, target)
    return made


def look_at(folder: Path, wanted: Wanted, published: structure.Size = structure.PUBLISHED) -> None:
    """All that tells without reading 14 GB whether a folder can be imported, so that none are copied in vain.

    Raises CheckpointError and WrongContent, which name the file there.
    """
    for file in wanted.files:
        wrong = None if file.name.endswith(".safetensors") else origin.prove(folder / file.name, file)[1]
        if wrong is not None:
            raise WrongContent(
                f"{folder / file.name} is not the file that it should be: {wrong}. Copy the whole folder again"
            )
    check(folder, wanted.revision, published)


def check(folder: Path, revision: str, published: structure.Size) -> None:
    """All files together make the model that they are said to be; no number is read. Raises CheckpointError."""
    checkpoint = Checkpoint.open(folder, None)
    checkpoint.words()
    claims = revision == REVISION
    structure.compare(
        folder,
        structure.read(folder, checkpoint.shards),
        checkpoint.config,
        published=claims or not (folder / CARD).exists(),
        quantized=checkpoint.quantized.precision if checkpoint.quantized else "",
    )
    if claims:
        structure.check_size(folder, checkpoint.config, published)


def in_units(size: int) -> str:
    """Bytes in words: GiB, MiB or KiB with one digit."""
    for unit, bits in (("GiB", 30), ("MiB", 20)):
        if size >= 1 << bits:
            return f"{size / (1 << bits):.1f} {unit}"
    return f"{size / 1024:.1f} KiB"


def check_target(target: Path, names: Collection[str], option: str = "--to") -> None:
    """It will be replaced as a whole by files of these names: nothing else may lie in it, and no model of another kind.

    option: with which the command at hand is told another folder. Raises CheckpointError.
    """
    if not target.exists():
        return
    check_kind(target, origin.kind(names), option)
    if not target.is_dir() or os.path.ismount(target):
        raise CheckpointError(
            f"{target} is no folder that can be replaced. Name one in it, such as {option} {target}/model"
        )
    ours = {origin.ORIGIN, CARD, origin.LEARNED, origin.SIGNS, ".cache", *names}
    others = sorted(path.name for path in target.iterdir() if path.name not in ours and not origin.is_data(path.name))
    if others:
        raise CheckpointError(
            f"{target} holds other things than a model ({others[0]}), and would be replaced. Name a folder of its own "
            f"with {option}; a model that was fetched by other programs is taken over with: "
            f"wetread model import {target}"
        )


def check_kind(target: Path, kind: Collection[str], option: str = "--to") -> None:
    """What the hub has can be had again; somebody's own model and a quantized one make room for their own kind only.

    kind: of what is to come, see `origin.kind`. option: as for `check_target`. Raises CheckpointError.
    """
    found = origin.kind_of(target)
    if not found or found == frozenset(kind):
        return
    what = "a model of your own" if CARD in found else "a quantized model"
    raise CheckpointError(
        f"{target} holds {what} ({', '.join(sorted(found))}), and would lose it to a model of another kind. "
        f"Name another folder with {option}, or move this one away. To mend what is there: "
        f"{origin.mend(target)}"
    )


@contextmanager
def staged(target: Path, suffix: str = "partial") -> Iterator[Path]:
    """The folder beside, held by this process alone. What lies in it from an earlier attempt stays, for the next one.

    suffix: of the folder's name; one for each way to make a model, so that none takes the half of another for its own.

    Raises CheckpointError, NotEnoughSpace.
    """
    stage = target.with_name(f"{target.name}.{suffix}")
    stage.parent.mkdir(parents=True, exist_ok=True)
    lock_file = stage.parent / f".{target.name}{_LOCK}"
    with lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"Another wetread is bringing a model to {target}. Wait for it to end.") from error
        if not _is_at(lock, lock_file):
            raise CheckpointError(
                f"Another wetread was bringing a model to {target} just now. Look at it and try again."
            )
        try:
            stage.mkdir(exist_ok=True)  # not before it is ours: who ends takes an empty one away
            yield stage
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                kept = "What has come is kept: f" if any(stage.iterdir()) else "F"
                raise NotEnoughSpace(
                    f"The disk of {stage} became full. {kept}ree some space and run the same command again, or name "
                    f"another folder"
                ) from error
            if error.errno == errno.EFBIG:
                raise NotEnoughSpace(
                    f"The file system of {stage} takes no files of this size (FAT32 ends at 4 GiB). Name a folder on "
                    f"another one; a USB disk should be formatted as exFAT or ext4"
                ) from error
            raise
        finally:
            with suppress(OSError):
                stage.rmdir()  # where nothing has come; what has come is kept
            lock_file.unlink(missing_ok=True)


def _is_at(opened: IO[str], path: Path) -> bool:
    """Whether it still has its name: who had a lock file before us takes it away, and others then hold a new one."""
    try:
        return os.path.samestat(os.fstat(opened.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _adopt(target: Path, stage: Path, files: Sequence[Expected]) -> None:
    """Files that are right where the model is now need not come again."""
    for file in files:
        here = target / file.name
        if not file.provable or (stage / file.name).exists() or not here.is_file():
            continue
        if here.stat().st_size == file.size and origin.prove(here, file)[1] is None:
            try:
                os.link(here, stage / file.name)
            except OSError:  # a file system without links, as on most USB disks
                shutil.copyfile(here, stage / file.name)


def _check_space(stage: Path, files: Sequence[Expected], free: Free) -> None:
    check_room(stage, sum(max(0, (file.size or 0) - _bytes_here(stage, file)) for file in files), free)


def check_room(stage: Path, lacking: int, free: Free) -> None:
    """So many bytes are still to come. Raises NotEnoughSpace."""
    available = free(stage)
    if lacking and lacking + MARGIN > available:
        raise NotEnoughSpace(
            f"{in_units(lacking + MARGIN)} are needed on the disk of {stage}, {in_units(available)} are free. "
            f"Free some space, or name a folder on another disk"
        )


def _bytes_here(stage: Path, file: Expected) -> int:
    return max((path.stat().st_size for path in (stage / file.name, _part(stage, file)) if path.exists()), default=0)


def _part(stage: Path, file: Expected) -> Path:
    return stage / f"{file.name}.part"


def _bring(stage: Path, source: Source, wanted: Wanted, file: Expected) -> Measured:
    """One file, proved. A wrong one is fetched once more from its beginning: a resumed one may have a damaged start."""
    there = stage / file.name
    if there.exists():
        measured, wrong = origin.prove(there, file)
        if file.provable and wrong is None:
            return measured
        there.unlink()
    part = _part(stage, file)
    if part.exists() and part.stat().st_size > (file.size or 0):
        part.unlink()
    wrong = None
    for _attempt in range(2):
        source.fetch(wanted.repository, wanted.revision, file, part)
        measured, wrong = origin.prove(part, file)
        if wrong is None:
            part.rename(there)
            return measured
        part.unlink()
    raise WrongContent(source.words(file, wrong or ""))


def _sweep(stage: Path, made: Origin) -> None:
    """Leave only what belongs to this model, were the folder one of an older attempt at another."""
    for path in stage.iterdir():
        if path.name not in made.files and path.is_file():
            path.unlink()


def swap(stage: Path, target: Path) -> None:
    """The new folder takes the name; an older one of that name goes away only then."""
    if not (stage / CARD).exists():
        _open_to_all(stage)
    _sync(stage)
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    stage.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _open_to_all(folder: Path) -> None:
    """The published model is no secret, and who carries it here on a disk or fetches it as root is not who reads."""
    with suppress(OSError):  # a file system without owners, as on most USB disks
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)


def _sync(folder: Path) -> None:
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
