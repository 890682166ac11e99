"""One act that somebody asks for at the page of a report, as it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from starlette.requests import Request

from reports.signoff.copies import must_be_known
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
        """Label to state. Raises Unwritable: one that there is not."""
        told = self.body.get("chips")
        chips = {str(label): str(state) for label, state in told.items()} if isinstance(told, dict) else _NO_CHIPS
        must_be_known(chips)
        return chips


def asked_report(request: Request) -> int:
    """Which report of the study is meant, where the address says it (`?report=`); 0 where it does not."""
    written = request.query_params.get("report", "")
    return int(written) if written.isascii() and written.isdecimal() and len(written) <= 9 else 0


def whole(value: Any) -> int:
    """A number of a script; 0 where it is none."""
    return value if isinstance(value, int) else 0
