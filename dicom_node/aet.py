"""AE titles, and a remote application entity as administrators write it: PACS@10.0.0.5:104."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from dicom_node.errors import ConfigurationError, InvalidAETitle
from dicom_node.hosts import with_port

_REMOTE = re.compile(r"^(?P<title>.+)@(?P<host>\[[^\]]+\]|[^@:\s]+):(?P<port>\d{1,5})$")


def ae_title(text: str) -> str:
    """Return the AE title without its insignificant blanks (PS3.5 6.2, VR AE).

    1 to 16 characters of the default repertoire, no backslash, not only blanks. Case is significant.

    Raises InvalidAETitle.
    """
    title = text.strip(" ")
    if not title:
        raise InvalidAETitle("an AE title has 1 to 16 characters and is not blank")
    if len(title) > 16:
        raise InvalidAETitle(f"the AE title {title!r} has {len(title)} characters; 16 are allowed")
    if not all(" " <= character <= "~" for character in title) or "\\" in title:
        raise InvalidAETitle(f"the AE title {title!r} may hold printable ASCII characters only, and no backslash")
    return title


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """AE title, host and port of a peer, in the order in which administrators know them."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> RemoteAddress:
        """Read `PACS@10.0.0.5:104`. Raises ConfigurationError."""
        found = _REMOTE.match(text.strip())
        if found is None:
            raise ConfigurationError(f"{text!r} is not AE_TITLE@HOST:PORT, for example PACS@10.0.0.5:104")
        port = int(found["port"])
        if not 1 <= port <= 65535:
            raise ConfigurationError(f"port {port} in {text!r} is not between 1 and 65535")
        return cls(ae_title(found["title"]), found["host"].strip("[]"), port)

    def __str__(self) -> str:
        return f"{self.ae_title}@{with_port(self.host, self.port)}"


def typed(text: str) -> str:
    """A word of a command that somebody will paste into a shell, always in quotes: strangers choose their AE titles."""
    quoted = shlex.quote(text)
    return quoted if quoted.startswith("'") else f"'{text}'"


def likely_cause(seen: str, known: list[str]) -> str:
    """Say in one sentence why `seen` is probably not among the `known` AE titles."""
    folded = {title.casefold(): title for title in known}
    squeezed = {title.replace(" ", "").replace("_", "").replace("-", "").casefold(): title for title in known}
    if seen.casefold() in folded:
        return f"only the case differs from {folded[seen.casefold()]!r}; AE titles are case-sensitive"
    if seen.replace(" ", "").replace("_", "").replace("-", "").casefold() in squeezed:
        match = squeezed[seen.replace(" ", "").replace("_", "").replace("-", "").casefold()]
        return f"only blanks, hyphens or underscores differ from {match!r}"
    if not known:
        return "no AE title is known yet; add it with: wetread ae add TITLE@HOST:PORT --may-send"
    return f"if that is wrong, add it with: wetread ae add {typed(f'{seen}@HOST:PORT')} --may-send"
