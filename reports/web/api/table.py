"""The table of operations: address, right, what goes in and comes out. Addresses and document are made of it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from reports.web.api import control, figures, studies
from reports.web.api.answers import (
    Deliveries,
    Done,
    Letters,
    LettersQuery,
    Lookup,
    PauseOrder,
    Pauses,
    Quality,
    QualityQuery,
    Queues,
    ReportAnswer,
    StudyAnswer,
    StudyPage,
    WorklistQuery,
)
from reports.web.api.operations import Operation
from reports.web.rights import Right

_NO_STUDY: Final = MappingProxyType({404: "There is no such study."})
_REPORT: Final = MappingProxyType({404: "No such study, or no report of it.", 410: "The report is not valid any more."})
_LOOKUP: Final = MappingProxyType({404: "No such study.", 409: "Several studies, or one of another patient."})
_STUDY = "/api/v1/studies/{number:int}"

OPERATIONS: Final = (
    Operation(
        name="listStudies",
        method="GET",
        path="/api/v1/studies",
        right=Right.SEE,
        summary="Worklist: studies with one plain status each",
        answer=studies.find_all,
        returns=StudyPage,
        query=WorklistQuery,
    ),
    Operation(
        name="findStudy",
        method="GET",
        path="/api/v1/study",
        right=Right.SEE,
        summary="One study by accession number or Study Instance UID",
        answer=studies.look_up,
        returns=StudyAnswer,
        query=Lookup,
        problems=_LOOKUP,
    ),
    Operation(
        name="getStudy",
        method="GET",
        path=_STUDY,
        right=Right.SEE,
        summary="One study by its number here",
        answer=studies.show,
        returns=StudyAnswer,
        problems=_NO_STUDY,
    ),
    Operation(
        name="getReport",
        method="GET",
        path=f"{_STUDY}/report",
        right=Right.SEE,
        summary="Its report: the signed one, else the AI draft with its mark",
        answer=studies.report,
        returns=ReportAnswer,
        problems=_REPORT,
    ),
    Operation(
        name="getReportText",
        method="GET",
        path=f"{_STUDY}/report.txt",
        right=Right.SEE,
        summary="The same as plain text, with the patient's name",
        answer=studies.report_text,
        returns=None,
        problems=_REPORT,
        media="text/plain",
    ),
    Operation(
        name="getReportDocument",
        method="GET",
        path=f"{_STUDY}/report.dcm",
        right=Right.SEE,
        summary="The same as a DICOM file (Basic Text SR)",
        answer=studies.report_dicom,
        returns=None,
        problems=_REPORT,
        media="application/dicom",
    ),
    Operation(
        name="listDeliveries",
        method="GET",
        path=f"{_STUDY}/deliveries",
        right=Right.SEE,
        summary="What of it went, or goes, where",
        answer=studies.deliveries,
        returns=Deliveries,
        problems=_NO_STUDY,
    ),
    Operation(
        name="requeueStudy",
        method="POST",
        path=f"{_STUDY}/requeue",
        right=Right.ADMINISTER,
        summary="Send its dead letters again, or read it anew",
        answer=studies.requeue,
        returns=Done,
        problems=MappingProxyType({404: "There is no such study.", 409: "It is held, or there is nothing to do."}),
    ),
    Operation(
        name="getQuality",
        method="GET",
        path="/api/v1/quality",
        right=Right.QUALITY,
        summary="What radiologists made of the drafts, in figures",
        answer=figures.drafts,
        returns=Quality,
        query=QualityQuery,
    ),
    Operation(
        name="getQueues",
        method="GET",
        path="/api/v1/queues",
        right=Right.ADMINISTER,
        summary="What waits where, and until when",
        answer=control.waiting,
        returns=Queues,
    ),
    Operation(
        name="listDeadLetters",
        method="GET",
        path="/api/v1/dead-letters",
        right=Right.ADMINISTER,
        summary="What could not be delivered, and what to do about it",
        answer=control.dead_letters,
        returns=Letters,
        query=LettersQuery,
    ),
    Operation(
        name="listPauses",
        method="GET",
        path="/api/v1/pauses",
        right=Right.ADMINISTER,
        summary="Brakes that are on",
        answer=control.brakes,
        returns=Pauses,
    ),
    Operation(
        name="setPause",
        method="POST",
        path="/api/v1/pauses",
        right=Right.ADMINISTER,
        summary="Pause reading, sending or receiving, or let it go on",
        answer=control.pause,
        returns=Pauses,
        body=PauseOrder,
        problems=MappingProxyType({404: "There is no such peer.", 409: "That cannot be paused so."}),
    ),
)
