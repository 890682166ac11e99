"""The list of failures is whole: each case has tests that exist, or says what is open; the manual says the same.

Below stand the proofs that stand nowhere else.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from dicom_node.dimse import DimseTransport
from dicom_node.kinds import Kind, Stage
from dicom_node.transports import Parcel
from reports.checks import DocumentRefused, check_document, check_draft
from reports.config import ReportsConfig
from reports.objects import tree
from reports.objects.frame import encode
from reports.objects.signer import Signature, Signer
from reports.provenance import NOTICE
from reports.tables import ENDED, REPORT_TRANSITIONS, ReportState
from tests.golden.every_object import SOURCES, pages, structured
from tests.harness.node import free_port
from tests.harness.parcels import destination
from tests.unit.reports.failure_cases import CASES, Case
from tests.unit.reports.films import MOMENT, as_received, draft, film, ordered_cr
from tests.unit.reports.mutants import MUTANTS
from tests.unit.reports.test_check import DEFECTS
from tests.unit.reports.test_signed import signed

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "deploy" / "docs" / "objects.md"
BEGIN, END = "<!-- written by the test of the failure list -->", "<!-- end of the failure list -->"


@cache
def names_in(module: str) -> frozenset[str]:
    """Names of the tests in a module, without `test_`, read from its text."""
    folder, _, name = module.rpartition("/")
    body = ast.parse((TESTS / folder / f"test_{name}.py").read_text(encoding="utf-8")).body
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return frozenset(name.removeprefix("test_") for name in names if name.startswith("test_"))


def test_there_are_fifty_eight_cases_with_a_proof_or_a_reason_each() -> None:
    assert [case.number for case in CASES] == list(range(1, 59))
    assert [case.number for case in CASES if not (case.tests or case.broken or case.open)] == []
    assert all(case.open.startswith("not built: ") for case in CASES if case.open)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number} {case.name}")
def test_tests_of_a_case_exist(case: Case) -> None:
    for test in case.tests:
        module, _, name = test.partition("::")
        assert name in names_in(module), f"{test} is gone: name the test that proves it now"


def test_broken_documents_of_a_case_exist() -> None:
    """`test_mutants` and `test_check` prove that each is refused for what is broken."""
    known = {*(mutant.name for mutant in MUTANTS), *DEFECTS}

    assert {name for case in CASES if case.broken for name in case.broken.split(", ")} <= known


def test_what_is_open_stands_in_the_manual() -> None:
    """WETREAD_WRITE_DOCS=1 writes it anew."""
    rows = [f"| {case.number} | {case.name} | {case.open} |" for case in CASES if case.open]
    lines = (
        ["| | case | not proven |", "| --- | --- | --- |", *rows] if rows else ["Nothing: every case has its proofs."]
    )
    table = "\n".join(lines)
    before, rest = PAGE.read_text(encoding="utf-8").split(f"{BEGIN}\n")
    current = f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"
    if os.environ.get("WETREAD_WRITE_DOCS") == "1":
        PAGE.write_text(current, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == current


# --- proofs that stand nowhere else -----------------------------------------------------------------------------------


def with_bytes(keyword: str, value: bytes) -> Dataset:
    """A film as received, with these bytes in an element."""
    source = as_received(film())
    element = source.get_item(keyword)
    assert isinstance(element, RawDataElement)
    source[element.tag] = element._replace(value=value, length=len(value))
    return source


def test_what_is_left_empty_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    draft(with_bytes("PatientBirthDate", b"19600102"))
    assert "attribute_left_empty" not in capsys.readouterr().out

    document = draft(with_bytes("PatientBirthDate", b"1960.01.02"))

    said = capsys.readouterr().out
    assert document.PatientBirthDate == ""
    assert "attribute_left_empty" in said
    assert "PatientBirthDate" in said
    assert "1960.01.02" not in said


def test_name_that_ends_in_an_empty_group_is_taken_for_the_same_without_it() -> None:
    """PS3.5 6.2: empty groups at the end, and their delimiters, may be left out. pydicom does when it writes."""
    source = with_bytes("PatientName", b"Example^Film= ")

    document = dcmread(BytesIO(encode(draft(source))))

    check_draft(document, [source], ReportsConfig())
    assert str(document.PatientName) == "Example^Film"


def test_reader_cannot_be_made_a_verifying_observer() -> None:
    master = draft()
    device = Signature(Signer("CXR-LLaVA demo", "wetread"), MOMENT + timedelta(minutes=1))

    with pytest.raises(DocumentRefused, match="a device stands as verifying observer"):
        check_document(signed(master, device), master, ReportsConfig())


@pytest.mark.parametrize("kind", ["signed", "cosigned", "addendum", "coded-signed"])
def test_no_final_object_holds_the_notice(kind: str) -> None:
    assert NOTICE.encode() in encode(structured("cr")["draft"])
    assert NOTICE.encode() not in encode(structured("cr")[kind])


@pytest.mark.parametrize("name", SOURCES)
def test_every_report_names_its_template_and_language(name: str) -> None:
    for kind, document in structured(name).items():
        template = "1500" if kind.startswith("coded") else "2010" if document.Modality == "KO" else "2000"
        names = {tree.name_of(item) for item in document.ContentSequence}

        assert document.ContentTemplateSequence[0].TemplateIdentifier == template
        assert (("121049", "DCM") in names) == (template != "2010")


@pytest.mark.parametrize("name", SOURCES)
def test_no_parameters_of_the_algorithm_are_written(name: str) -> None:
    for document in structured(name).values():
        assert ("111002", "DCM") not in {tree.name_of(item) for item in tree.descendants(document)}


def test_a_series_has_one_class_one_side_and_one_description() -> None:
    later = draft(ordered_cr(), revision=2, content_at=MOMENT + timedelta(hours=2))
    series: dict[str, set[tuple[object, ...]]] = {}
    for document in (*structured("cr").values(), *pages("cr").values(), later):
        facts = document.SOPClassUID, document.SeriesDescription, document.SeriesNumber, document.Modality
        series.setdefault(document.SeriesInstanceUID, set()).add(facts)

    assert later.SeriesInstanceUID == structured("cr")["draft"].SeriesInstanceUID
    assert {len(facts) for facts in series.values()} == {1}
    assert len(series) == 12


@pytest.mark.parametrize(
    ("moment", "date", "time", "offset"),
    [
        (datetime(2025, 3, 9, 6, 59, 59, tzinfo=UTC), "20250309", "015959", "-0500"),
        (datetime(2025, 3, 9, 7, 0, 0, tzinfo=UTC), "20250309", "030000", "-0400"),
        (datetime(2025, 11, 2, 5, 30, 0, tzinfo=UTC), "20251102", "013000", "-0400"),
        (datetime(2025, 11, 2, 6, 30, 0, tzinfo=UTC), "20251102", "013000", "-0500"),
        (datetime(2025, 11, 3, 4, 59, 59, tzinfo=UTC), "20251102", "235959", "-0500"),
    ],
)
def test_hour_that_is_left_out_in_spring_is_told_by_the_offset(
    moment: datetime, date: str, time: str, offset: str
) -> None:
    config = ReportsConfig(time_zone="America/New_York")
    master = draft(content_at=moment, config=config)
    report = signed(
        master, Signature(Signer("Reader^Rita", "Example Hospital"), moment), not_before=moment, config=config
    )

    assert (master.ContentDate, master.ContentTime) == (report.ContentDate, report.ContentTime) == (date, time)
    assert report.VerifyingObserverSequence[0].VerificationDateTime == f"{date}{time}{offset}"
    assert "TimezoneOffsetFromUTC" not in report


@pytest.fixture
def proposals() -> Iterator[tuple[int, list[set[str]]]]:
    """Port of a peer, and the transfer syntaxes of each association that it was asked for."""
    asked: list[set[str]] = []

    def note(event: evt.Event) -> None:
        request = event.assoc.requestor.primitive
        assert request is not None
        contexts = request.presentation_context_definition_list
        asked.append({str(syntax) for context in contexts for syntax in context.transfer_syntax})

    entity = AE(ae_title="PACS")
    entity.add_supported_context(structured("dx")["draft"].SOPClassUID)
    port = free_port()
    handlers: list[Any] = [(evt.EVT_REQUESTED, note), (evt.EVT_C_STORE, lambda event: 0x0000)]
    server: Any = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    yield port, asked
    server.shutdown()


def test_nothing_but_little_endian_is_proposed(proposals: tuple[int, list[set[str]]]) -> None:
    port, asked = proposals
    document: Dataset = structured("dx")["draft"]
    transport = DimseTransport("WETREAD", connect_seconds=5, answer_seconds=5)
    parcel = Parcel(
        destination=destination(port),
        payload=encode(document),
        kind=Kind.BASIC_TEXT,
        stage=Stage.DRAFT,
        sop_class_uid=document.SOPClassUID,
        sop_instance_uid=document.SOPInstanceUID,
        study_instance_uid=document.StudyInstanceUID,
    )

    assert transport.send(parcel) == "0000"
    transport.close()

    assert asked == [{str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)}]


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_has_ended_cannot_be_signed(state: ReportState) -> None:
    reachable, fresh = {state}, {state}
    while fresh:
        fresh = {to for start, to in REPORT_TRANSITIONS if start in fresh} - reachable
        reachable |= fresh

    assert ReportState.VERIFIED not in reachable
    assert (ReportState.DRAFT, state) in REPORT_TRANSITIONS
