"""One act that somebody asks for at the page of a report, as it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from starlette.requests import Request

from reports.signoff.person import Person
from reports.signoff.service import SignOff
from reports.text import DraftText
from reports.web.report import Papers

_NO_CHIPS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Call:
    """One request about one report."""

    request: Request
    body: Mapping[str, Any]
    found: Papers
    report_id: int
    person: Person
    service: SignOff
    now: datetime

    @property
    def version(self) -> int:
        """Of the text that the browser shows."""
        return whole(self.body.get("version"))

    @property
    def text(self) -> DraftText:
        """The words as the browser has them."""
        return DraftText(str(self.body.get("findings") or ""), str(self.body.get("impression") or ""))

    @property
    def words(self) -> str:
        """What the person said beside an act."""
        return str(self.body.get("words") or "").strip()

    @property
    def chips(self) -> Mapping[str, str]:
        """Label to state."""
        chips = self.body.get("chips")
        return {str(label): str(state) for label, state in chips.items()} if isinstance(chips, dict) else _NO_CHIPS


def whole(value: Any) -> int:
    """A number of a script; 0 where it is none."""
    return value if isinstance(value, int) else 0
