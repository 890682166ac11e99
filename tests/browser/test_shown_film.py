"""Which film stands beside the words, whose it is, and when it counts as shown."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp

from dicom_node import worklist
from dicom_node.files import stored_path
from dicom_node.rules.tables import Late
from dicom_node.tables import Instance, Study
from reports.signoff.tables import FilmShown
from reports.tables import Report
from tests.harness.axe import violations
from tests.harness.intercepting import intercept
from tests.harness.node import wait_until
from tests.harness.people import seat
from tests.harness.reading_room import ReadingRoom, chest, with_pixels
from tests.unit.agent.desk_of_readers import CARL, EDITED, service
from tests.unit.agent.desk_of_readers import ready as look_at
from tests.unit.agent.ward import now
from tests.unit.reports import films

PRIORS = re.compile(r"/priors\.json")
DESK = re.compile(r"/report/desk")  # what a page asks when it hears news


@pytest.fixture
def base(room: ReadingRoom, served: Callable[[ASGIApp], str], page: Page) -> str:
    """Where the room is served; Rita sits at `page`."""
    room.end_all()
    address = served(room.app)
    seat(page.context, room.database, "rita", address)
    page.add_init_script(
        "window.painted = []; addEventListener('film-shown', ({ detail }) => window.painted.push(detail.id), true)"
    )
    return address


def film_of(tx: Session, report: Report) -> int:
    return tx.scalars(select(Instance.id).where(Instance.digest == report.film_digest)).one()


def painted(page: Page) -> list[int]:
    """The films that this page has told of as shown."""
    found: list[int] = page.evaluate("window.painted")
    return found


def ready(page: Page, base: str, room: ReadingRoom, report: Report, act: str = "sign") -> None:
    page.goto(f"{base}/study/{room.number(report)}/report?report={report.id}")
    expect(page.locator(f"[data-act={act}]")).to_have_attribute("aria-disabled", "false")
    page.wait_for_function("window.painted.length")


def is_booked(room: ReadingRoom, report: Report) -> bool:
    """Does the server know of anybody who was shown the film?"""
    return bool(room.ask(lambda tx: tx.query(FilmShown).filter_by(report_id=report.id).count()))


def opened_unseen(room: ReadingRoom, base: str, page: Page, report: Report) -> Page:
    """The same report in a second tab, which never paints its film; the first one hears nothing of it."""
    expect(page.locator("#pacs")).to_contain_text("There is no PACS to ask")
    wait_until(lambda: is_booked(room, report), "the server knows of the film on the first page")
    intercept(page, DESK, lambda route: route.abort())
    other = page.context.new_page()
    other.route(re.compile(r"/(pixels|preview)$"), lambda route: route.abort())
    other.goto(f"{base}/study/{room.number(report)}/report")
    expect(other.locator("#pacs")).to_contain_text("There is no PACS to ask")
    wait_until(lambda: not is_booked(room, report), "the opening in the other tab to reach the server")
    return other


def test_film_of_another_person_is_beside_it_only_by_choice_and_says_so(
    room: ReadingRoom, base: str, page: Page
) -> None:
    kim = room.study(PatientID="1234", PatientName="Kim^Younghee", PatientBirthDate="19900101", PatientSex="F")
    room.study(PatientID="1234", PatientName="Lee^Chulsoo", PatientBirthDate="19450505", PatientSex="M")
    ready(page, base, room, kim)

    page.keyboard.press("c")
    expect(page.locator("body")).to_contain_text("may be another patient's")
    assert page.locator(".viewer-pane").count() == 1
    page.get_by_label("Compare with").select_option(index=1)

    corner = page.locator(".viewer-pane").nth(1).locator(".viewer-start")
    expect(corner).to_contain_text("Lee Chulsoo, 1945-05-05, M")
    expect(corner.locator(".viewer-doubt")).to_contain_text("ANOTHER NAME AND BIRTH DATE AND SEX")

    hers = {"PatientID": "1234", "PatientName": "KIM^YOUNGHEE", "PatientBirthDate": "19900101", "PatientSex": "F"}
    for date in ("20190101", "20240101", "20260101"):  # the film beside them is of 2025
        room.study(StudyDate=date, **hers)
    ready(page, base, room, kim)
    page.keyboard.press("c")
    expect(corner).to_contain_text("KIM YOUNGHEE, 1990-01-01, F")
    expect(corner).to_contain_text("Prior of 2024-01-01")
    expect(corner.locator(".viewer-doubt")).to_have_count(0)


def test_film_waits_for_no_prior_and_who_asks_for_one_early_gets_it(room: ReadingRoom, base: str, page: Page) -> None:
    hers = {"PatientID": "77", "PatientName": "Kim^Younghee", "PatientBirthDate": "19900101", "PatientSex": "F"}
    room.study(StudyDate="20240101", **hers)
    report = room.study(**hers)
    held: list[Route] = []
    intercept(page, PRIORS, lambda route: held.append(route))  # noqa: PLW0108  a bound method of a list is no handler
    ready(page, base, room, report)  # it could be signed
    page.keyboard.press("c")
    expect(page.locator(".viewer-pane")).to_have_count(1)
    wait_until(lambda: page.evaluate("1") and bool(held), "the other films to be asked for")

    held[0].continue_()
    corner = page.locator(".viewer-pane").nth(1).locator(".viewer-start")
    expect(corner).to_contain_text("Prior of 2024-01-01")
    expect(page.get_by_label("Compare with").locator("option:checked")).to_have_text("Prior of 2024-01-01")
    page.keyboard.press("c")
    expect(page.locator(".viewer-pane")).to_have_count(1)
    expect(page.get_by_label("Compare with").locator("option:checked")).to_have_text("No second film")


def test_priors_that_could_not_be_listed_are_not_said_to_be_absent(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    intercept(page, PRIORS, lambda route: route.abort())
    ready(page, base, room, report)
    expect(page.locator(".viewer-notes")).to_contain_text("could not be listed")

    page.keyboard.press("c")
    expect(page.locator("#toasts")).to_contain_text("could not be listed")

    page.unroute(PRIORS)
    asked: list[Route] = []
    intercept(page, PRIORS, lambda route: asked.append(route))  # noqa: PLW0108  a bound method of a list is no handler
    again = page.get_by_role("button", name="Try again")
    for is_there in (False, True):
        with page.expect_request(PRIORS):
            again.press("Enter")
        expect(page.get_by_role("status").filter(has_text="are being listed")).to_be_visible()
        expect(again).to_be_focused()
        wait_until(lambda: page.evaluate("1") and bool(asked), "the other films to be asked for")
        if is_there:
            asked.pop().continue_()
        else:
            asked.pop().abort()
            expect(page.locator(".viewer-notes")).to_contain_text("could not be listed")
            expect(again).to_be_focused()
    expect(page.locator(".viewer-notes")).to_be_empty()
    expect(page.locator(".viewer-pane")).to_be_focused()  # there is nothing to choose
    page.keyboard.press("c")
    expect(page.locator("#toasts")).to_contain_text("No other film of this patient is here.")


def test_signed_report_beside_a_draft_has_its_own_film(room: ReadingRoom, base: str, page: Page) -> None:
    first = room.study()
    room.deliver()
    room.late_film(Late.ADD)
    second = room.draft()
    service(room).sign(first.id, CARL, EDITED, look_at(room, CARL, first.id).version, now())
    of_first, of_second = (room.ask(lambda tx, one=one: film_of(tx, one)) for one in (first, second))

    ready(page, base, room, second, "take-over")
    expect(page.get_by_label("Film", exact=True).locator("option").first).to_have_text("PA, read")
    assert painted(page) == [of_second]
    page.get_by_role("link", name="Read the signed report").click()
    expect(page.locator("#final")).to_be_visible()
    expect(page.locator("[data-act=addendum]")).to_have_attribute("aria-disabled", "false")
    assert painted(page) == [of_first]


def test_film_that_another_page_has_shown_is_not_shown_on_this_one(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    ready(page, base, room, report)
    page.keyboard.press("e")
    page.keyboard.press("Control+End")
    page.keyboard.type(" Typed once.")
    expect(page.locator("#saved")).to_have_text("Saved")

    film = re.compile(r"/(pixels|preview)$")
    intercept(page, film, lambda route: route.abort())
    page.reload()
    expect(page.locator(".viewer-trouble")).to_contain_text("could not be fetched")
    expect(page.locator("#pacs")).to_contain_text("There is no PACS to ask")
    expect(page.locator("#findings")).to_have_value(re.compile("Typed once.$"))
    expect(page.locator("[data-act=sign]")).to_have_attribute("title", re.compile("^The film has not been shown"))
    assert not room.ask(lambda tx: tx.query(FilmShown).filter_by(report_id=report.id).all())
    page.keyboard.press("Control+Enter")
    expect(page.locator("#why")).to_contain_text("The film has not been shown")
    assert page.locator("#ask-sign").is_hidden()

    page.unroute(film)
    ready(page, base, room, report)
    expect(page.locator("#findings")).to_have_value(re.compile("Typed once.$"))


def test_strip_of_a_film_is_not_the_film(room: ReadingRoom, base: str, page: Page) -> None:
    report = room.study()
    page.set_viewport_size({"width": 1440, "height": 240})
    page.goto(f"{base}/study/{room.number(report)}/report")
    expect(page.locator(".viewer-pane[aria-label*=PA]")).to_have_count(1)
    expect(page.locator("#pacs")).to_contain_text("There is no PACS to ask")
    expect(page.locator("[data-act=sign]")).to_have_attribute("title", re.compile("^The film has not been shown"))

    page.locator(".viewer-pane").evaluate("(pane) => pane.scrollIntoView()")
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    assert len(painted(page)) == 1


def test_page_whose_report_is_opened_in_another_tab_shows_its_film_still(
    room: ReadingRoom, base: str, page: Page
) -> None:
    report = room.study()
    ready(page, base, room, report)
    other = opened_unseen(room, base, page, report)
    page.unroute(DESK)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # no tab is hidden in a headless browser

    wait_until(lambda: is_booked(room, report), "the server knows again of the film on the first page")
    expect(page.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "false")
    expect(other.locator("[data-act=sign]")).to_have_attribute("aria-disabled", "true")


def test_page_that_never_heard_of_the_other_tab_signs_at_the_second_press(
    room: ReadingRoom, base: str, page: Page
) -> None:
    report = room.study()
    ready(page, base, room, report)
    opened_unseen(room, base, page, report)
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url.rpartition("/")[2]))
    intercept(page, DESK, lambda route: route.continue_() if "accept" in answered else route.abort())  # no news before

    page.keyboard.press("a")
    expect(page.locator("#ask-sign .checking")).to_be_empty()
    page.locator("#ask-sign input[type=password]").press_sequentially("2580")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-sign .fault")).to_contain_text("film has not been shown to you yet")
    wait_until(lambda: is_booked(room, report), "the page has told again what it shows")
    page.locator("#ask-sign input[type=password]").press("Enter")
    expect(page.locator("#final")).to_be_visible()


def held_study(room: ReadingRoom, **second: object) -> int:
    """Number of a study that the gate holds. second: of the header of another film in it."""
    while (earlier := room.take_reading()) is not None:  # what another test has let through
        hold(room, earlier)
    room.receive_film(BodyPartExamined=None)
    if second:
        study = room.ask(lambda tx: tx.scalars(select(Study).order_by(Study.id.desc()).limit(1)).one())
        root = study.study_instance_uid
        header = {"StudyInstanceUID": root, "SeriesInstanceUID": f"{root}.1", "SOPInstanceUID": f"{root}.1.2"}
        whose = {"PatientID": study.patient_id, "AccessionNumber": study.accession_number}
        room.receive(with_pixels(films.film(**header, **whose, **second), chest()))
    hold(room, room.claim())
    return room.ask(lambda tx: tx.scalars(select(func.max(Study.id))).one())


def hold(room: ReadingRoom, claim: worklist.Claim) -> None:
    words = "The body part is absent."
    room.do(lambda tx: worklist.hold(tx, claim, reason="body-part-unknown", explanation=words, now=now()))


def second_film_bars(page: Page, number: int, trouble: str) -> None:
    """Two films, of which the second is told to be in trouble: nobody may let the study be read here."""
    expect(page.locator(".viewer-pane").nth(1).locator(".viewer-trouble")).to_contain_text(trouble)
    page.locator("#film .viewer-pane").first.evaluate("(pane) => pane.scrollIntoView({ block: 'center' })")
    expect(page.locator("#film-told")).to_have_text(
        "1 of 2 films was shown. Who has looked at it in the site's own viewer says so by a command: "
        f"wetread study confirm '#{number}'"
    )
    expect(page.get_by_role("button", name="Let it be read")).to_be_disabled()


def test_film_that_nobody_can_be_shown_holds_nobody_up_and_one_that_did_not_come_does(
    room: ReadingRoom, base: str, page: Page
) -> None:
    number = held_study(room, NumberOfFrames=3)
    failing = re.compile(rf"/film/{room.ask(lambda tx: tx.scalars(select(func.max(Instance.id))).one())}/preview")
    intercept(page, failing, lambda route: route.abort())
    page.goto(f"{base}/study/{number}")
    second_film_bars(page, number, "could not be fetched")

    page.unroute(failing)
    page.reload()
    expect(page.locator(".viewer-pane").nth(1).locator(".viewer-trouble")).to_contain_text("3 frames")
    page.locator("#film .viewer-pane").first.evaluate("(pane) => pane.scrollIntoView({ block: 'center' })")
    expect(page.get_by_role("button", name="Let it be read")).to_be_enabled()
    page.get_by_label("I looked").check()
    page.get_by_role("button", name="Let it be read").click()
    expect(page.locator("body")).to_contain_text("Done: Let it be read.")


def test_film_that_is_away_from_the_store_opens_no_button(room: ReadingRoom, base: str, page: Page) -> None:
    number = held_study(room, SeriesDescription="second")
    digest = room.ask(lambda tx: tx.scalars(select(Instance.digest).order_by(Instance.id.desc()).limit(1)).one())
    path = stored_path(room.desk.config.node.store_folder, digest)
    path.rename(path.with_suffix(".away"))

    page.goto(f"{base}/study/{number}")

    second_film_bars(page, number, "gone from the store")


def test_held_study_is_let_through_by_nobody_whose_browser_shows_no_film(
    room: ReadingRoom, base: str, browser: Browser
) -> None:
    number = held_study(room)
    context = browser.new_context(java_script_enabled=False)
    seat(context, room.database, "rita", base)
    page = context.new_page()
    page.goto(f"{base}/study/{number}")

    expect(page.get_by_role("button", name="Let it be read")).to_be_disabled()
    expect(page.locator("#film")).to_contain_text(f"by a command: wetread study confirm '#{number}'")
    context.close()


def test_held_study_is_let_through_by_who_had_its_film_before_the_eyes(
    room: ReadingRoom, base: str, page: Page
) -> None:
    number = held_study(room)
    film = re.compile(r"/(pixels|preview)$")
    intercept(page, film, lambda route: route.abort())
    page.goto(f"{base}/study/{number}")
    button = page.get_by_role("button", name="Let it be read")
    expect(page.locator("#film .viewer-trouble")).to_contain_text("could not be fetched")
    expect(page.locator("#film-told")).to_have_text(
        "No film can be shown here. Who has looked at it in the site's own viewer says so by a command: "
        f"wetread study confirm '#{number}'"
    )
    expect(button).to_be_disabled()

    page.unroute(film)
    listed = re.compile(r"/films.json")
    intercept(page, listed, lambda route: route.abort())
    page.reload()
    expect(page.locator("#film-told")).to_contain_text("No film can be shown here")
    expect(button).to_be_disabled()

    page.unroute(listed)
    page.reload()
    page.locator("#film .viewer-pane").evaluate("(pane) => pane.scrollIntoView({ block: 'center' })")
    expect(button).to_be_enabled()
    assert violations(page) == []
    page.get_by_label("I looked").check()
    button.click()
    expect(page.locator("body")).to_contain_text("Done: Let it be read.")
    expect(page.locator(".timeline")).to_contain_text("may be read (films shown here before: 1)")
