"""Asking a FHIR server for reports that were signed: a search by Last Updated, page after page, within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import structlog

from dicom_node.errors import SendFailure
from dicom_node.transports import Destination
from reports.rest.authority import Authority
from reports.rest.calls import Answer, TooLarge, refuse
from reports.rest.final_reports import STATUSES, FinalReport, Json, NotFhir, Page, read_page, read_resource, told_more

log = structlog.get_logger("dispatch")

PAGES: Final = 200  # of one search
PAGE_BYTES: Final = 16 << 20  # a server that does not know _elements sends whole reports, with their PDFs

_COUNT: Final = 50
_ELEMENTS: Final = "identifier,status,category,subject,basedOn,imagingStudy,contained,meta"
_TYPE: Final = "application/fhir+json"
_MOST_READ: Final = 6  # resources of one type that are read for one report
_MOST_KNOWN: Final = 2000  # resources that are remembered while a search is worked off
_NOTHING: Final[Json] = MappingProxyType({})
_TRIES: Final = 3  # of one resource at which the server breaks down, search after search
# Said of all that we ask, and of now: the search is given up. Any other refusal is one of this resource.
_NOT_NOW: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_NOT_READ: Final = frozenset(range(300, 500)) - _NOT_NOW


@dataclass(slots=True)
class Search:
    """One search at one server, from its first page to its last. Lives as long as that.

    is_over: has it taken too long? Then it is given up between two questions.
    broken: how often each resource broke the server down; outlives the search.
    nameless: how many reports named no patient that could be read.
    """

    authority: Authority
    to: Destination
    is_over: Callable[[], bool] = lambda: False
    broken: Counter[str] = field(default_factory=Counter)
    known: dict[str, Json] = field(default_factory=dict)
    nameless: int = 0

    def pages(self, since: datetime, category: str) -> Iterator[Page]:
        """Reports that changed after `since`, the oldest first where the server sorts.

        Raises SendFailure: no answer, or a refusal. NotFhir: something else, a link that leads away, no end of pages.
        """
        url = f"{self._base}/DiagnosticReport?{_query(since, category)}"
        seen = {url}
        for _ in range(PAGES):
            page = read_page(self._get(url).body, self._base)
            yield page
            if not page.following:
                return
            url = self._same_server(urljoin(url, page.following))
            if url in seen:
                raise NotFhir("its pages lead back to one that was read already")
            seen.add(url)
        raise NotFhir(f"its pages have no end; {PAGES} were read")

    def read_more(self, report: FinalReport, page: Page) -> FinalReport:
        """Read what the report only refers to. What this server does not give us adds nothing. Raises as `pages`."""
        for place in _chosen(report.to_read):
            found = page.included.get(place)
            report = told_more(report, self._read(place) if found is None else found)
        self.nameless += not report.patients
        return report

    def _read(self, place: str) -> Json:
        if place not in self.known:
            if len(self.known) >= _MOST_KNOWN:
                self.known.clear()
            self.known[place] = self._read_anew(place)
        return self.known[place]

    def _read_anew(self, place: str) -> Json:
        """One resource must not keep all reports from being heard, whatever is the matter with it."""
        try:
            found = read_resource(self._get(f"{self._base}/{place}", _NOT_READ).body or b"{}")
        except (NotFhir, TooLarge):
            return _NOTHING
        except SendFailure as failure:
            if not failure.may_be_there:  # nothing was said of this resource
                raise
            self.broken[place] += 1
            if self.broken[place] < _TRIES:
                raise
            kind, words = place.split("/", maxsplit=1)[0], str(failure)
            log.warning("resource_left_out", destination=self.to.name, resource=kind, explanation=words)
            return _NOTHING
        self.broken.pop(place, None)
        return found

    def _get(self, url: str, accepted: frozenset[int] = frozenset()) -> Answer:
        if self.is_over():
            raise SendFailure(f"{self.to.name} answers too slowly; it is asked again from where it got to")
        answer = self.authority.call(self.to, "GET", url, headers={"Accept": _TYPE}, maximum=PAGE_BYTES)
        if answer.status in accepted:
            return Answer(answer.status, b"")
        if not answer.is_success:
            raise refuse(self.to, answer, again="it is asked again")
        return answer

    def _same_server(self, url: str) -> str:
        """Our credential goes nowhere else, and no server makes us ask another one."""
        ours, theirs = urlsplit(self._base), urlsplit(url)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise NotFhir("its next page is on another server; correct the base URL that the server knows of itself")
        return url

    @property
    def _base(self) -> str:
        return self.to.url.rstrip("/")


def _chosen(places: Sequence[str]) -> Iterator[str]:
    """So many of each type: many orders must not keep the patient from being read."""
    read = Counter[str]()
    for place in dict.fromkeys(places):
        kind = place.split("/")[0]
        read[kind] += 1
        if read[kind] <= _MOST_READ:
            yield place


def _query(since: datetime, category: str) -> str:
    moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    parts = {
        "status": ",".join(STATUSES),
        "_lastUpdated": f"gt{moment}",
        "_sort": "_lastUpdated",
        "_count": str(_COUNT),
        "_elements": _ELEMENTS,
        **({"category": category} if category else {}),
    }
    return "&".join(f"{name}={quote(value, safe=',:/|')}" for name, value in parts.items())
