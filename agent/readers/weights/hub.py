"""The hub: which files it offers at a revision, and fetching one of them, from where a broken attempt ended.

Only plain HTTP, to one address and where that redirects to. huggingface_hub reads its environment once: what keeps it
from asking anything else (see agent.commands.model) must be set before this module is imported.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.errors import HTTPError as TransportError  # type: ignore[attr-defined]  # of its HTTP library
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from agent.readers.weights.errors import HubUnreachable
from agent.readers.weights.origin import Expected, is_data

_SECONDS: Final = 30.0
_ATTEMPTS: Final = 5  # without a single byte more, before a person is told
_PAUSE: Final = 1.0  # seconds between them
_FAILURES: Final = (TransportError, OfflineModeIsEnabled, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the hub has at one revision: the files that we take, and the names of those that we do not."""

    revision: str
    licence: str
    files: tuple[Expected, ...]
    left: tuple[str, ...]


class Hub:
    """The hub or a mirror of it.

    endpoint: such as https://huggingface.co. token: for mirrors that want one; the published model needs none.
    """

    def __init__(self, endpoint: str, token: str | None = None) -> None:
        if urlsplit(endpoint).scheme not in {"http", "https"}:
            raise HubUnreachable(f"{endpoint!r} is no address of a hub; write it as https://huggingface.co")
        self._endpoint = endpoint.rstrip("/")
        self._token: str | bool = token or False  # False: never one that other programs left on this machine

    def offer(self, repository: str, revision: str) -> Offer:
        """What there is at exactly this revision. Raises HubUnreachable."""
        api = HfApi(endpoint=self._endpoint, token=self._token)
        try:
            found = api.model_info(repository, revision=revision, files_metadata=True, timeout=_SECONDS)
        except (*_FAILURES, HFValidationError, ValueError) as error:
            raise self._unreachable(error) from error
        if found.sha != revision:
            raise HubUnreachable(
                f"{self._endpoint} answers for {repository} with the revision {found.sha}, not {revision}: "
                f"it is no faithful mirror. Use another one with --endpoint, or: wetread model import FOLDER"
            )
        listed = found.siblings or []
        files = [
            Expected(
                one.rfilename,
                one.lfs.size if one.lfs else one.size,
                one.lfs.sha256 if one.lfs else None,
                None if one.lfs else one.blob_id,
            )
            for one in listed
            if is_data(one.rfilename)
        ]
        unprovable = [one.name for one in files if not one.provable or one.size is None]
        if unprovable or not files:
            raise HubUnreachable(
                f"{self._endpoint} states no size and digest for {', '.join(unprovable) or repository}, so that "
                f"nothing could be checked. Use another one with --endpoint, or: wetread model import FOLDER"
            )
        licence = str(found.card_data.license or "") if found.card_data else ""
        return Offer(
            revision, licence, tuple(files), tuple(one.rfilename for one in listed if not is_data(one.rfilename))
        )

    def fetch(self, repository: str, revision: str, file: Expected, part: Path) -> None:
        """Add to `part` what it still lacks of a file. Raises HubUnreachable and OSError; `part` keeps what came."""
        url = hf_hub_url(repository, file.name, revision=revision, endpoint=self._endpoint)
        with part.open("ab") as stream, _bar(file) as moved:
            idle = 0
            while stream.tell() < (file.size or 0):
                before = stream.tell()
                try:
                    self._stream(url, stream, moved, file)
                except _FAILURES as error:
                    idle = 0 if stream.tell() > before else idle + 1
                    if idle == _ATTEMPTS:
                        raise self._unreachable(error, file.name) from error
                    time.sleep(_PAUSE)
            stream.flush()
            os.fsync(stream.fileno())

    def _stream(self, url: str, stream: BinaryIO, moved: Callable[[int], None], file: Expected) -> None:
        """Ask for what is lacking and write each piece as it comes. Raises TransportError, HubUnreachable, OSError."""
        here = stream.tell()
        headers = build_hf_headers(token=self._token) | {"Accept-Encoding": "identity"}
        if here:
            headers["Range"] = f"bytes={here}-"
        with get_session().stream("GET", url, headers=headers, timeout=_SECONDS) as response:
            if response.status_code in {408, 429} or response.status_code >= 500:
                raise TransportError(f"status {response.status_code}")
            if response.status_code not in {200, 206}:
                raise self._refused(f"status {response.status_code}", file.name)
            if response.status_code == 200:  # a server that knows no ranges begins again
                here = 0
                stream.truncate(0)
                stream.seek(0)
            moved(here)
            for piece in response.iter_raw():
                here += len(piece)
                if here > (file.size or 0):
                    raise self._refused("more bytes than it had stated", file.name)
                stream.write(piece)
                moved(here)
        if here < (file.size or 0):
            raise TransportError("the answer ended early")

    def words(self, file: Expected, difference: str) -> str:
        """That something on the way, or a mirror, gives another file."""
        return (
            f"{file.name} is not the file that it should be, also when fetched twice: {difference}. It was thrown "
            f"away. A proxy that changes files? Try --endpoint, or another copy with: wetread model import FOLDER"
        )

    def _unreachable(self, error: Exception, name: str = "") -> HubUnreachable:
        response = getattr(error, "response", None) if isinstance(error, HfHubHTTPError) else None
        if response is not None:
            return self._refused(f"status {response.status_code}", name)
        return self._refused(str(error) if type(error) is TransportError else type(error).__name__, name)

    def _refused(self, what: str, name: str) -> HubUnreachable:
        wanted = name or "the list of files"
        return HubUnreachable(
            f"{self._endpoint} does not give {wanted} ({what}). What has come is kept: run the same command again. "
            f"Behind a proxy set HTTPS_PROXY, for a mirror --endpoint; without any network: wetread model import FOLDER"
        )


@contextmanager
def _bar(file: Expected) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; silence elsewhere. Told how many bytes there are."""
    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    shown = sys.stderr.isatty()
    with Progress(TextColumn(file.name), *columns, console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task(file.name, total=file.size)
        yield lambda here: progress.update(task, completed=here)
