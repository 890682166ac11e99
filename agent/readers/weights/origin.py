"""Where the files of a model came from and what their digests must be.

A folder that `wetread model pull` or `import` made holds wetread-origin.json. Folders that the hub's own tools made
hold the same knowledge in other places, which is read as well, so that a copy on a disk can be proved.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent.readers.weights import prequantized
from agent.readers.weights.prequantized import QUANTIZED
from dicom_node.errors import ConfigurationError

ORIGIN: Final = "wetread-origin.json"
_CHUNK: Final = 1 << 20
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_HEX40: Final = re.compile(r"[0-9a-f]{40}")

# Numbers and words only: no program, no pickle, no page of the hub. Nothing in a folder below.
_DATA: Final = re.compile(
    r"config\.json|generation_config\.json|added_tokens\.json|special_tokens_map\.json|tokenizer\.json|tokenizer\.model"
    r"|tokenizer_config\.json|model\.safetensors\.index\.json|model(?:-\d{5}-of-\d{5})?\.safetensors"
)
CARD: Final = "wetread.json"  # of a model that somebody trained; no part of the published one
LEARNED: Final = "learned-from.txt"  # digests of the films that it learned from
SIGNS: Final = "learned-signs.txt"  # fingerprints of their pictures


class OriginUnreadable(ConfigurationError):
    """wetread-origin.json is not what this program writes."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a file before it is read: size in bytes, SHA-256, or git's SHA-1 of it as a blob."""

    name: str
    size: int | None = None
    sha256: str | None = None
    blob: str | None = None

    @property
    def provable(self) -> bool:
        """Is a digest known?"""
        return self.sha256 is not None or self.blob is not None


@dataclass(frozen=True, slots=True)
class Measured:
    """A file as it is."""

    size: int
    sha256: str
    blob: str  # empty where nobody asked


@dataclass(frozen=True, slots=True)
class Origin:
    """Repository and revision (empty where nobody knows), and size and SHA-256 of each file."""

    repository: str
    revision: str
    files: Mapping[str, Expected]


def is_data(name: str) -> bool:
    """Whether a file of this name is taken from the hub. Everything else is left there, programs above all."""
    return _DATA.fullmatch(name) is not None


def kind(names: Iterable[str]) -> frozenset[str]:
    """What tells a model of these files from that of the hub: CARD of somebody's own, QUANTIZED; empty if nothing.

    Who learned from films is somebody's own, also when its card was lost.
    """
    found = set(names)
    own = {CARD} if found & {CARD, LEARNED, SIGNS} else set()
    return frozenset(own | (found & {QUANTIZED}))


def kind_of(folder: Path) -> frozenset[str]:
    """`kind` of what lies in a folder, and of what its wetread-origin.json says that should."""
    there: set[str] = set()
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # others complain of what cannot be read
        there |= {path.name for path in folder.iterdir()}
        there |= set(json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["files"])
    return kind(there)


def mend(folder: Path) -> str:
    """The sentence that says how the files of a folder are made whole again, without losing somebody's own model."""
    target = folder.with_name(folder.name.removesuffix(".partial"))  # what is being installed lies beside it
    found = kind_of(folder)
    if QUANTIZED in found:
        return f"{prequantized.MEND} nf4 or int8 --output {target}"
    if CARD in found:  # the hub has another one
        return f"Bring it again from where it was made, with: wetread model import FOLDER --to {target}"
    return (
        f"Fetch it again with: wetread model pull --to {target}; without a network: "
        f"wetread model import FOLDER --to {target}"
    )


def absent(folder: Path) -> str:
    """The sentence about a folder that is not there, and what brings it."""
    return (
        f"The model folder {folder} does not exist. Get the published model with: wetread model pull --to {folder}; "
        f"without a network, or one of your own: wetread model import FOLDER --to {folder}"
    )


def belongs(name: str) -> bool:
    """Whether a file of this name may be part of a model in one of our folders."""
    return is_data(name) or name in {CARD, LEARNED, SIGNS, QUANTIZED}


def measure(path: Path, *, blob: bool = False) -> Measured:
    """Read a file once; for git's name of it as well, which takes as long again. Raises OSError."""
    size = path.stat().st_size
    digests = [hashlib.sha256()]
    if blob:
        digests.append(hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False))
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            for digest in digests:
                digest.update(chunk)
    return Measured(size, digests[0].hexdigest(), digests[1].hexdigest() if blob else "")


def prove(path: Path, expected: Expected) -> tuple[Measured, str | None]:
    """Read a file, and say in words how it differs from what is known of it; None where it does not."""
    measured = measure(path, blob=expected.blob is not None)
    return measured, _difference(expected, measured)


def _difference(expected: Expected, measured: Measured) -> str | None:
    if expected.size is not None and measured.size != expected.size:
        return f"it has {measured.size} bytes, not {expected.size}"
    if expected.sha256 is not None and measured.sha256 != expected.sha256:
        return f"its SHA-256 is {measured.sha256}, not {expected.sha256}"
    if expected.blob is not None and measured.blob != expected.blob:
        return f"its git blob is {measured.blob}, not {expected.blob}"
    return None


def read(folder: Path) -> Origin | None:
    """What the folder says of itself; None for one that says nothing. Raises OriginUnreadable."""
    path = folder / ORIGIN
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = {name: Expected(name, int(one["size"]), str(one["sha256"])) for name, one in content["files"].items()}
        if not all(belongs(name) for name in files):  # also a path that leads elsewhere
            raise ValueError("a name that is no file of a model")
        return Origin(str(content["repository"]), str(content["revision"]), MappingProxyType(files))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OriginUnreadable(f"{path} cannot be read. {mend(folder)}") from error


def write(folder: Path, origin: Origin) -> None:
    """Write what `read` reads."""
    files = {
        name: {k: v for k, v in asdict(one).items() if k in {"size", "sha256"}} for name, one in origin.files.items()
    }
    content = {"repository": origin.repository, "revision": origin.revision, "files": dict(sorted(files.items()))}
    (folder / ORIGIN).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def seal(folder: Path) -> None:
    """Write down the digests of a folder as it is, for a model that nobody fetched: it was made here."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and belongs(path.name))
    measured = {name: measure(folder / name) for name in names}
    files = {name: Expected(name, found.size, found.sha256) for name, found in measured.items()}
    write(folder, Origin("", "", MappingProxyType(files)))


def known(folder: Path) -> Origin:
    """What can be known of the files of a folder before they are read, whoever made it. Raises OriginUnreadable.

    Either from wetread-origin.json, or from what the hub's tools leave behind: `hf download --local-dir` notes commit
    and ETag of each file, and the names in a cache folder are links to files named by their ETag. The ETag of a large
    file is its SHA-256, that of a small one git's name for it.
    """
    own = read(folder)
    if own is not None:
        return own
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and belongs(path.name))
    noted = {name: _noted(folder, name) for name in names}
    revisions = {revision for revision, _ in noted.values()}
    revision = revisions.pop() if len(revisions) == 1 else ""
    return Origin("", revision, MappingProxyType({name: expected for name, (_, expected) in noted.items()}))


def _noted(folder: Path, name: str) -> tuple[str, Expected]:
    note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    path = folder / name
    if note.is_file():
        commit, etag = (*note.read_text(encoding="utf-8").split("\n"), "", "")[:2]
    elif path.is_symlink() and path.readlink().parent.name == "blobs":
        commit, etag = folder.resolve().name, path.readlink().name
    else:
        return "", Expected(name)
    etag = etag.strip().strip('"')
    return commit if _HEX40.fullmatch(commit) else "", Expected(
        name,
        sha256=etag if _HEX64.fullmatch(etag) else None,
        blob=etag if _HEX40.fullmatch(etag) else None,
    )
