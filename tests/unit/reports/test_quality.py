"""What became of the drafts, in numbers: the sums, the page, the files and the command."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import event, update

from agent.cli import wetread
from dicom_node.database import clock
from reports import quality
from reports.quality import Case
from reports.signoff.tables import Decision, Verdict
from reports.tables import Report
from reports.web import plots, spreadsheet
from reports.web.rights import Role
from reports.web.sums import KEPT_SECONDS, Ledger, Sums
from tests.unit.reports.office import Office

MONDAY = datetime(2026, 11, 16, 8, tzinfo=UTC)
SIGNED = Case(
    study_id=1,
    verdict=Verdict.ACCEPTED,
    reason="",
    words_drafted=40,
    words_signed=40,
    words_changed=0,
    drafted={"Edema": "present", "Pneumothorax": "absent"},
    signed={"Edema": "present", "Pneumothorax": "absent"},
    received_at=MONDAY,
    drafted_at=MONDAY + timedelta(seconds=20),
    opened_at=None,
    decided_at=MONDAY + timedelta(minutes=5),
    reader="CXR-LLaVA demo 1.0 fp32",
    reader_digest="d" * 64,
    device="Acme X1",
    station="ER1",
    institution="North",
    withdrawn=False,
)
REJECTED = SIGNED._replace(verdict=Verdict.REJECTED, reason="missed-finding", words_signed=0, signed={})


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.database.close()


# --- sums ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [  # Newcombe, Statistics in Medicine 1998;17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval_of_a_share_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    share = quality.share(count, of)

    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


def test_nothing_decided_has_no_figures() -> None:
    whole = quality.outcome("all", [])

    assert whole.drafts == 0
    assert math.isnan(whole.success.value)
    assert math.isnan(whole.changed.median)
    assert quality.agreement([]) == []


def test_verdicts_reasons_and_success_are_counted() -> None:
    minor = SIGNED._replace(verdict=Verdict.MINOR, words_changed=4)
    major = SIGNED._replace(verdict=Verdict.MAJOR, words_changed=80, words_signed=50)
    whole = quality.outcome("all", [SIGNED, minor, major, REJECTED, SIGNED._replace(withdrawn=True)])

    assert {verdict.value: share.count for verdict, share in whole.verdicts.items()} == {
        "accepted": 2,
        "minor": 1,
        "major": 1,
        "rejected": 1,
    }
    assert (whole.success.count, whole.success.of, whole.withdrawn) == (2, 5, 1)
    assert whole.reasons == (("missed-finding", 1),)
    assert whole.changed == quality.Spread(4, 0.0, 1.0)
    assert whole.few


def test_times_are_values_that_occur() -> None:
    cases = [SIGNED._replace(decided_at=SIGNED.drafted_at + timedelta(seconds=n)) for n in range(1, 11)]
    cases.append(SIGNED._replace(received_at=None))
    whole = quality.outcome("all", cases)

    assert (whole.deciding.median, whole.deciding.ninth) == (6, 10)
    assert whole.drafting == quality.Spread(10, 20, 20)


def test_groups_are_by_week_device_and_reader() -> None:
    later = SIGNED._replace(decided_at=MONDAY + timedelta(days=7), device="", station="", reader_digest="e" * 64)
    new_year = SIGNED._replace(decided_at=datetime(2027, 1, 1, 12, tzinfo=UTC))

    assert [one.name for one in quality.grouped([later, SIGNED, new_year], quality.week_of)] == [
        "2026-W47",
        "2026-W48",
        "2026-W53",
    ]
    assert [one.name for one in quality.grouped([later, SIGNED], quality.device_of)] == [
        "Acme X1 (ER1)",
        "unknown device",
    ]
    assert [one.drafts for one in quality.grouped([later, SIGNED, SIGNED], quality.reader_of)] == [2, 1]
    elsewhere = SIGNED._replace(institution="", drafted={}, signed={"Edema": "present"})
    assert [one.name for one in quality.grouped([elsewhere, SIGNED], quality.site_of)] == ["North", "unknown site"]
    by_site = quality.agreements([elsewhere, SIGNED], quality.site_of)
    assert [(name, row.same.value) for name, (row,) in by_site] == [("North", 1.0), ("unknown site", 0.0)]


def test_agreement_counts_what_people_added_and_took_out() -> None:
    added = SIGNED._replace(drafted={}, signed={"Edema": "present"})
    dropped = SIGNED._replace(drafted={"Edema": "present"}, signed={"Edema": "uncertain"})
    neither = SIGNED._replace(drafted={}, signed={})
    (row,) = quality.agreement([SIGNED, SIGNED, added, dropped, neither, neither, REJECTED])

    assert (row.label, row.drafted, row.signed, row.both, row.added, row.dropped) == ("Edema", 3, 3, 2, 1, 1)
    assert (row.same.count, row.same.of) == (4, 6)
    assert row.kappa == pytest.approx(1 / 3)


def test_finding_that_is_always_there_has_no_kappa() -> None:
    (row,) = quality.agreement([SIGNED, SIGNED])

    assert math.isnan(row.kappa)
    assert row.same.value == 1


def test_drawing_shows_each_verdict_and_both_lines_of_the_paper_and_no_markup_of_names() -> None:
    week = quality.outcome("<b>W1", [SIGNED, REJECTED])
    drawn = str(plots.verdicts([week]))

    assert drawn.count("<rect") == 2
    assert "<b>" not in drawn
    assert "84.0 %" in drawn
    assert "72.7 %" in drawn
    assert 'class="point few"' in drawn
    assert "style=" not in drawn
    assert "<svg" in str(plots.times([quality.outcome("W1", [])]))


def test_names_of_lines_that_end_at_one_place_stand_below_each_other() -> None:
    drawn = str(plots.times([quality.outcome("W1", [SIGNED])]))
    ninth, median = (float(re.search(rf'y="([0-9.]+)">{name}<', drawn)[1]) for name in ("nine of ten", "median"))  # type: ignore[index]

    assert median - ninth == pytest.approx(14)


# --- the page and the command -------------------------------------------------------------------------------------


def decide(office: Office, number: int, verdict: Verdict, *, days_ago: float = 1, device: str = "=Acme X1") -> None:
    """A draft of study `number`, and what a person made of it."""
    office.wait_for_a_reading(number, accession=f"ACC{number}", patient_id=f"P{number}")
    office.draft_of(number)
    with office.database.write() as tx:
        report = tx.query(Report).order_by(Report.id.desc()).first()
        assert report is not None
        at = clock(tx) - timedelta(days=days_ago)
        is_rejected = verdict is Verdict.REJECTED
        tx.add(
            Decision(
                report_id=report.id,
                study_id=number,
                verdict=verdict,
                reason="missed-finding" if is_rejected else "",
                words_drafted=40,
                words_signed=0 if is_rejected else 42,
                words_changed=0 if is_rejected else 4,
                drafted=json.dumps({"Edema": "present"}),
                signed=json.dumps({} if is_rejected else {"Edema": "present", "Cardiomegaly": "present"}),
                received_at=at - timedelta(minutes=10),
                drafted_at=at - timedelta(minutes=9),
                opened_at=None,
                decided_at=at,
                reader=report.reader,
                reader_digest=report.reader_digest,
                device=device,
                station="ER1",
                institution="North",
                user_id=7,
            )
        )


def test_page_without_decisions_says_what_counts(office: Office) -> None:
    assert "Nobody has decided about a draft in that time." in office.read("/quality")


def test_page_shows_figures_with_intervals_and_the_words_of_the_paper(office: Office) -> None:
    decide(office, 1, Verdict.ACCEPTED)
    decide(office, 2, Verdict.MINOR)
    decide(office, 3, Verdict.REJECTED)
    decide(office, 4, Verdict.MAJOR, days_ago=60)
    page = office.read("/quality?days=30")

    assert "3 drafts decided about few" in page
    assert "66.7 % success 21 to 94 %" in page
    assert "72.7 % of the model's were a success in autonomous reporting" in page
    assert "=Acme X1 (ER1) few 3 1 1 0 1 66.7 % 21 to 94 10 % 60 s / 60 s 9 min / 9 min" in page
    assert "1 a missed finding" in page
    assert "Cardiomegaly few 0 2 0 2 0" in page
    assert "4 drafts decided about" in office.read("/quality?days=90")
    assert "4 drafts decided about" in office.read("/quality?days=none")


def test_sums_are_kept_for_a_minute_and_made_by_one_at_a_time(office: Office) -> None:
    """A page that many open must not be counted for each of them."""
    ticks = [0.0]
    ledger = Ledger(lambda: ticks[0])
    counted: list[int] = []

    @event.listens_for(office.database._reader, "before_cursor_execute")
    def count(_: object, __: object, statement: str, *___: object) -> None:
        if "decision.verdict" in statement:
            counted.append(1)

    decide(office, 1, Verdict.ACCEPTED)
    with ThreadPoolExecutor(8) as readers:
        made = list(readers.map(lambda _: ledger.sums(office.database, 30), range(8)))
    assert {one.whole.drafts for one in made} == {1}
    assert len(counted) == 1
    decide(office, 2, Verdict.REJECTED)
    ticks[0] = KEPT_SECONDS - 1
    assert ledger.sums(office.database, 30) is made[0]
    assert ledger.sums(office.database, 90).whole.drafts == 2
    ticks[0] = KEPT_SECONDS + 1
    assert ledger.sums(office.database, 30).whole.drafts == 2


def test_sums_are_kept_for_as_long_as_nothing_has_changed(office: Office) -> None:
    ticks = [0.0]
    ledger = Ledger(lambda: ticks[0])

    def after_a_while() -> Sums:
        ticks[0] += KEPT_SECONDS + 1
        return ledger.sums(office.database, 30)

    decide(office, 1, Verdict.ACCEPTED)
    decide(office, 2, Verdict.ACCEPTED, days_ago=29)
    first = after_a_while()
    again = after_a_while()
    assert again.whole is first.whole
    assert again.at > first.at

    with office.database.write() as tx:
        tx.execute(update(Decision).where(Decision.id == 1).values(withdrawn_at=clock(tx)))
    assert after_a_while().whole.withdrawn == 1
    with office.database.write() as tx:  # days go by
        tx.execute(update(Decision).where(Decision.id == 2).values(decided_at=clock(tx) - timedelta(days=31)))
    assert after_a_while().whole.drafts == 1
    decide(office, 3, Verdict.REJECTED)
    assert after_a_while().whole.drafts == 2


def test_files_hold_the_same_and_no_formula(office: Office) -> None:
    decide(office, 1, Verdict.ACCEPTED)
    decide(office, 2, Verdict.REJECTED)
    drafts = rows_of(office.web.get("/quality/drafts.csv").text)
    groups = rows_of(office.web.get("/quality/groups.csv").text)

    assert [row["verdict"] for row in drafts] == ["accepted", "rejected"]
    assert drafts[0]["device"] == "'=Acme X1"
    assert json.loads(drafts[1]["signed"]) == {}
    assert "user" not in " ".join(drafts[0])
    assert [row["group"] for row in groups] == ["All", *quality.GROUPS]
    assert (groups[2]["name"], drafts[0]["institution"]) == ("North", "North")
    assert groups[0]["success"] == "0.5"
    assert groups[3]["name"] == "'=Acme X1 (ER1)"


def test_files_say_why_drafts_were_rejected_and_how_findings_agree(office: Office) -> None:
    decide(office, 1, Verdict.ACCEPTED)
    decide(office, 2, Verdict.REJECTED)
    groups = rows_of(office.web.get("/quality/groups.csv?days=30").text)
    findings = rows_of(office.web.get("/quality/findings.csv?days=30").text)

    assert (groups[0]["withdrawn"], groups[0]["rejected_missed_finding"], groups[0]["rejected_other"]) == (
        "0",
        "1",
        "0",
    )
    assert [row["finding"] for row in findings] == 5 * ["Cardiomegaly", "Edema"]
    assert [row["group"] for row in findings[::2]] == ["All", *quality.GROUPS]
    assert (findings[0]["drafted"], findings[0]["signed"], findings[0]["added"]) == ("0", "1", "1")
    assert (findings[0]["agreement"], findings[1]["kappa"]) == ("0.0", "")
    assert 'href="/quality/findings.csv?days=30"' in office.web.get("/quality?days=30").text


def rows_of(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.removeprefix(spreadsheet.BYTE_ORDER_MARK))))


def test_command_prints_the_same_sums(office: Office, tmp_path: Path) -> None:
    decide(office, 1, Verdict.ACCEPTED)
    decide(office, 2, Verdict.REJECTED)
    file = tmp_path / "wetread.toml"
    file.write_text(f'[node]\ndata_folder = "{office.config.node.data_folder}"\n')

    told = CliRunner().invoke(wetread, ["--config", str(file), "eval", "live", "--since", "7d"])
    assert told.exit_code == 0, told.output
    assert "all (few)" in told.output
    assert "rejected: 1 missed-finding" in told.output
    assert "72.7 %" in told.output
    found = json.loads(CliRunner().invoke(wetread, ["--config", str(file), "eval", "live", "--json"]).stdout)

    assert found["all"][0]["verdicts"]["accepted"]["count"] == 1
    assert found["all"][0]["success"]["value"] == 0.5
    assert [row["label"] for row in found["findings"]] == ["Cardiomegaly", "Edema"]
    assert [row["kappa"] for row in found["findings"]] == [0.0, None]


@pytest.mark.parametrize(
    ("role", "code"),
    [(Role.RADIOLOGIST, 200), (Role.AUDITOR, 200), (Role.ADMINISTRATOR, 200), (Role.TRAINEE, 403)],
)
def test_quality_is_for_those_who_have_the_right(office: Office, role: Role, code: int) -> None:
    for address in ("/quality", "/quality/drafts.csv", "/quality/groups.csv", "/quality/findings.csv"):
        assert office.as_(role).get(address).status_code == code
