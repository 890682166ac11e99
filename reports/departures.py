"""Where a report does not say what its images say, in words for people: what was left out, and what stands instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog
from pydicom import Dataset

from reports.source import joined

log = structlog.get_logger()


def request_of(film: Dataset) -> Dataset:
    """The requested procedure of a normalized film that its report names: that of the study's order, else the first.

    RIS match a report by one order, and two would close both.
    """
    requests = _requests(film)
    accession = joined(film.get("AccessionNumber"))
    of_the_order = [one for one in requests if accession and joined(one.get("AccessionNumber")) == accession]
    return next(iter([*of_the_order, *requests]), Dataset())


def departures(source: Dataset, film: Dataset) -> tuple[str, ...]:
    """One phrase each. source: the header as received; film: what `normalize` made of it."""
    return (*_of_the_sex(source, film), *_of_the_requests(film))


def of_other_requests(images: Sequence[Dataset], film: Dataset) -> list[Dataset]:
    """Those of further normalized images that were taken for another requested procedure than the film's.

    An image that names no procedure is taken for one of the same: it is in the same study.
    """
    own = joined(request_of(film).get("RequestedProcedureID"))
    return [image for image in images if own and _ids(image) and own not in _ids(image)]


def _of_the_sex(source: Dataset, film: Dataset) -> Iterator[str]:
    said = joined(source.get("PatientSex")).strip(" \0").upper()
    if said and said != film.PatientSex:
        instead = f"is written as {film.PatientSex}" if film.PatientSex else "is left empty"
        yield f"Patient's Sex is none that DICOM has and {instead}"


def _of_the_requests(film: Dataset) -> Iterator[str]:
    requests = _requests(film)
    chosen = request_of(film)
    others = [one for one in requests if one is not chosen]
    if not others:
        return
    log.info("request_left_out", code="request-left-out", left_out=len(others))
    left_out = ", ".join(_called(one) for one in others)
    yield f"of {len(requests)} requested procedures {_called(chosen)} is named, not {left_out}"


def _called(request: Dataset) -> str:
    parts = (joined(request.get(name)) for name in ("RequestedProcedureID", "RequestedProcedureDescription"))
    return " ".join(part for part in parts if part) or "one without a name"


def _requests(film: Dataset) -> list[Dataset]:
    return list(film.get("RequestAttributesSequence") or [])


def _ids(film: Dataset) -> set[str]:
    return {joined(one.get("RequestedProcedureID")) for one in _requests(film)} - {""}
