"""What a person typed into a form, read by a page in its thread; and how the person stands in the audit trail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from anyio import from_thread
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from dicom_node.errors import ConfigurationError
from reports.web.bodies import NOTHING_HAS_NUL
from reports.web.doors import visitor_of


@dataclass(frozen=True, slots=True)
class Entries:
    """One form as it was sent."""

    values: Mapping[str, Sequence[str]]
    files: Mapping[str, tuple[str, bytes]] = field(default_factory=lambda: MappingProxyType({}))  # name, content

    def text(self, name: str) -> str:
        """One line, without the blanks around it; empty where the field was not sent."""
        return self.values.get(name, ("",))[-1].strip()

    def flag(self, name: str) -> bool:
        """Is the box checked?"""
        return name in self.values

    def several(self, name: str) -> list[str]:
        """Everything that was chosen under this name."""
        return [value.strip() for value in self.values.get(name, ()) if value.strip()]

    def number(self, name: str, label: str) -> int:
        """A whole number; 0 where the field is empty. Raises ConfigurationError."""
        value = self.text(name)
        if not value:
            return 0
        if not (value.isascii() and value.isdecimal() and len(value) <= 9):
            raise ConfigurationError(f"{label}: {value!r} is no whole number")
        return int(value)

    def must_be_sure(self) -> None:
        """Raises ConfigurationError: the box beside a button that cannot be undone is empty."""
        if not self.flag("sure"):
            raise ConfigurationError("check the box first: this cannot be undone")

    def lines(self, name: str) -> list[str]:
        """The lines of a text area that have something in them."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]


def read_entries(request: Request) -> Entries:
    """Wait for the form; the door limits its length. Raises HTTPException: 400 where it is none."""
    return from_thread.run(_read, request)


def actor_of(request: Request) -> str:
    """How the visitor stands in the audit trail."""
    return visitor_of(request).actor


async def _read(request: Request) -> Entries:
    content = await request.body()
    kind = request.headers.get("content-type", "")
    parser = _InMemory if kind.startswith("multipart/form-data") else FormParser
    try:
        form = await parser(request.headers, _once(content)).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, "That was no form of these pages.") from error
    values: dict[str, list[str]] = {}
    files: dict[str, tuple[str, bytes]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = (value.filename or "", await value.read())
        else:
            values.setdefault(name, []).append(value.replace("\r\n", "\n"))
    await form.close()
    if any("\0" in value for several in values.values() for value in several):
        raise HTTPException(400, NOTHING_HAS_NUL)
    return Entries(MappingProxyType(values), MappingProxyType(files))


class _InMemory(MultiPartParser):
    """A film that somebody drops here never touches the disk."""

    spool_max_size = 1 << 31


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
    yield b""
