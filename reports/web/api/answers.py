"""What the operations take and give, as data; the OpenAPI document is made of these."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dicom_node.worklist.pauses import What
from reports.signoff.tables import SignedKind, Verdict
from reports.tables import ReportState
from reports.web.standing import Status
from reports.web.wish import Priority, Show, Sort

Text64 = Annotated[str, Field(min_length=1, max_length=64)]


class Strict(BaseModel):
    """Nothing but what is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorklistQuery(Strict):
    """Which studies."""

    q: str = Field("", max_length=64, description="Accession number, Study Instance UID or Patient ID begins so")
    show: Show = Field(Show.ALL, description="As the tabs of the worklist page")
    sort: Sort | None = Field(None, description="urgent for drafts, newest for all others where it is left out")
    priority: Priority = Priority.ANY
    finding: str = Field("", max_length=64, description="A CheXpert label that the draft names, or `any` critical one")
    reader: str = Field("", max_length=128)
    older: int = Field(0, ge=0, le=527_040, description="Minutes since the draft, or since the study came")
    since: date | None = Field(None, description="Opened on this day (UTC) or later")
    until: date | None = None
    limit: int = Field(50, ge=1, le=200)
    before: str = Field("", max_length=40, pattern=r"^[0-9.]*$", description="`next` of the page before")


class Lookup(Strict):
    """One study: accession_number, study_instance_uid, or both; patient_id as a cross check."""

    accession_number: str = Field("", max_length=64)
    study_instance_uid: str = Field("", max_length=64)
    patient_id: str = Field("", max_length=64, description="Refused where the study has another one")


class LettersQuery(Strict):
    """Which dead letters."""

    destination: str = Field("", max_length=64)
    reason: str = Field("", max_length=64)


class NoQuery(Strict):
    """Nothing may be asked."""


class PauseOrder(Strict):
    """Pull a brake, or let it go. peer: for one destination (send) or sender (receive) alone."""

    what: What
    on: bool
    peer: str = Field("", max_length=64)


class ReportSummary(Strict):
    """Where the report stands. present, uncertain: findings that the AI's draft names (CheXpert labels)."""

    state: ReportState
    drafted_at: AwareDatetime
    changed_at: AwareDatetime
    reader: str
    present: list[str]
    uncertain: list[str]
    critical: bool = Field(description="The draft names, or may name, what cannot wait")


class StudyAnswer(Strict):
    """One study with one plain status, as on the worklist."""

    number: int
    study_instance_uid: str
    accession_number: str
    patient_id: str
    issuer_of_patient_id: str
    revision: int
    status: Status
    sentence: str = Field(description="What happens with it, and why")
    reason: str = Field(description="Code, see the manual; empty where all is well")
    priority: Priority
    opened_at: AwareDatetime
    age_seconds: int = Field(description="Since the draft, else since the study was opened")
    images: int
    sender: str
    opened_by: str = Field(description="Login of who has the draft open now; empty: nobody")
    handed_to: str = Field(description="Login of whom the draft was handed to lately, if nobody has opened it since")
    report: ReportSummary | None
    page: str = Field(description="Address of the study's page, below the address of the pages")


class StatusAnswer(Strict):
    """Where one study is, for a line and a link in another program: nothing of the patient, no word, no finding."""

    number: int
    status: Status
    sentence: str = Field(description="What the status means; the same for every study that has it")
    state: ReportState | None = Field(description="Of its report; null: there is none")
    verified: bool = Field(description="A radiologist has signed it")
    page: str = Field(description="Address to link to, below the address of the pages")


class StudyPage(Strict):
    """Some studies. next: `before` of the next page; null on the last one."""

    items: list[StudyAnswer]
    next: str | None


class SignatureAnswer(Strict):
    """One signed document, the oldest is number 1."""

    number: int
    kind: SignedKind
    sop_instance_uid: str
    login: str
    at: AwareDatetime


class ReportAnswer(Strict):
    """The report that counts: the signed one, else the newest draft.

    verified: a radiologist has signed. Without that it is an AI draft: whoever shows it must show `mark` with it.
    """

    study: int
    state: ReportState
    verified: bool
    mark: str
    sop_instance_uid: str
    findings: str
    impression: str
    signatures: list[SignatureAnswer]
    drafted_at: AwareDatetime
    reader: str


class DeliveryAnswer(Strict):
    """One object for one destination."""

    number: int
    destination: str
    kind: str
    stage: str
    state: str
    attempts: int
    sop_instance_uid: str
    queued_at: AwareDatetime
    sent_at: AwareDatetime | None
    committed_at: AwareDatetime | None
    next_attempt_at: AwareDatetime
    proven_by: str
    reason: str
    last_error: str


class Deliveries(Strict):
    """All of a study."""

    items: list[DeliveryAnswer]


class LetterAnswer(Strict):
    """One delivery that was given up."""

    delivery: DeliveryAnswer
    study: int
    explanation: str
    cure: str
    can_be_requeued: bool


class Letters(Strict):
    """The newest hundred. studies: given up without a delivery, since nothing could be made."""

    items: list[LetterAnswer]
    studies: list[int]


class Done(Strict):
    """What was done, in words."""

    detail: str


class PauseAnswer(Strict):
    """One brake that is on."""

    what: What
    peer: str
    by: str
    at: AwareDatetime


class Pauses(Strict):
    """All brakes that are on."""

    items: list[PauseAnswer]


class OutboundAnswer(Strict):
    """What waits for one destination."""

    name: str
    registered: bool
    paused: bool
    queued: int
    sent: int
    failed: int
    oldest: AwareDatetime | None
    last_error: str


class Queues(Strict):
    """What waits where. read_by, sent_by: when the queue will be empty; null: nobody can say.

    backlog_waiting: studies of priority backlog for which this is none of their hours; backlog_from: when those begin.
    """

    receiving: int
    scheduled: int
    in_progress: int
    held: int
    queued: int
    sent: int
    dead_letters: int
    read_per_hour: float
    read_by: AwareDatetime | None
    sent_by: AwareDatetime | None
    backlog_waiting: int = 0
    backlog_from: AwareDatetime | None = None
    destinations: list[OutboundAnswer]


class QualityQuery(Strict):
    """Of which time."""

    days: int = Field(90, ge=1, le=3650)


class Part(Strict):
    """A part of a whole with its 95 % interval (Wilson); null where the whole is empty."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


class Lasting(Strict):
    """Seconds: the median, and what nine of ten do not exceed; null where there is none."""

    median: float | None
    ninth: float | None


class QualityGroup(Strict):
    """What people made of some drafts. few: too few to say much."""

    name: str
    drafts: int
    few: bool
    verdicts: dict[Verdict, Part]
    success: Part = Field(description="Signed as it was, or with a minor change, and not withdrawn")
    reasons: dict[str, int] = Field(description="Why drafts were rejected, by code")
    withdrawn: int
    film_to_draft: Lasting
    draft_to_decision: Lasting
    film_to_decision: Lasting


class FindingAnswer(Strict):
    """One finding in drafts and in what was signed of them; present, or not. few: too few reports that state it.

    added: people wrote it; dropped: they took it out. kappa: Cohen's; null where both never or always say it.
    """

    name: str
    drafted: int
    signed: int
    both: int
    added: int
    dropped: int
    same: Part
    kappa: float | None
    few: bool


class Quality(Strict):
    """All drafts that somebody decided about in that time; by week, device, reader and site, and finding by finding."""

    whole: QualityGroup
    weeks: list[QualityGroup]
    sites: list[QualityGroup]
    devices: list[QualityGroup]
    readers: list[QualityGroup]
    findings: list[FindingAnswer]


class ProblemAnswer(BaseModel):
    """Problem details (RFC 9457). code: for programs."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: str
