"""Which destinations nothing gets through to: since the first failure, until the first success."""

from __future__ import annotations

from dataclasses import replace

from dicom_node import books
from dicom_node.forecast import forecast
from dicom_node.outages import Outage, command_for, outages
from dicom_node.tables import Endpoint, Way
from tests.unit.dicom_node.desk import Desk, header


def failing(desk: Desk) -> list[Outage]:
    return desk.do(lambda tx: outages(tx, desk.now))


def another(desk: Desk, number: int) -> None:
    desk.draft(replace(header(), study_instance_uid=f"1.2.{number}", sop_instance_uid=f"1.2.{number}.1"))


def test_a_destination_is_down_since_its_first_failure_with_the_words_of_the_last(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    assert failing(desk) == []
    began = desk.now
    desk.retry(desk.must_take(), wait=30)
    desk.wait(31)
    desk.retry(desk.must_take(), wait=300)
    another(desk, 77)  # waits as well, and was not tried

    down = failing(desk)

    assert [(one.destination, one.since, one.words, one.waiting) for one in down] == [("PACS", began, "busy", 2)]
    assert down[0].next_at <= desk.now  # that of the one that was not tried
    assert down[0].command == "wetread ae echo PACS"


def test_one_success_ends_it_though_another_object_still_waits(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.retry(desk.must_take(), wait=3000)
    another(desk, 77)
    assert len(failing(desk)) == 1
    desk.sent(desk.must_take())
    assert failing(desk) == []


def test_no_end_is_foreseen_while_nothing_gets_through_to_a_destination(desk: Desk) -> None:
    for title in ("ARCHIVE", "PACS"):
        desk.peer(title)
    desk.draft(destinations=("ARCHIVE", "PACS"))

    def ends() -> tuple[bool, bool]:
        ahead = desk.do(lambda tx: forecast(tx, books.backlog(tx), desk.now))
        return ahead.sent_per_hour > 0, ahead.sent_by is not None

    held = [desk.must_take(), desk.must_take()]
    desk.sent(next(one for one in held if one.destination == "ARCHIVE"))
    assert ends() == (True, True), "the other goes out at that rate"

    desk.retry(next(one for one in held if one.destination == "PACS"), wait=3000)
    assert ends() == (True, False)


def test_an_index_that_lags_for_a_moment_is_no_outage_but_one_that_never_finds_is(desk: Desk) -> None:
    desk.peer()
    desk.draft()
    desk.sent(desk.must_take())
    desk.wait(1)
    desk.retry(desk.must_take(), wait=2)
    assert failing(desk) == []
    desk.wait(121)
    assert [one.destination for one in failing(desk)] == ["PACS"]


def test_names_are_not_mistaken_for_each_other(desk: Desk) -> None:
    for title in ("PACS", "PA_S", "PACS2"):
        desk.peer(title)
    desk.draft(destinations=("PACS", "PA_S", "PACS2"))
    while held := desk.take():
        if held.destination == "PA_S":
            desk.retry(held, wait=3000)
        else:
            desk.sent(held)
            desk.proven(desk.must_take())
    assert [one.destination for one in failing(desk)] == ["PA_S"]


def test_what_to_type_is_for_the_protocol(desk: Desk) -> None:
    desk.peer("OUR PACS")
    desk.do(lambda tx: tx.add(Endpoint(name="RIS", way=Way.MLLP, host="10.0.0.7", port=2575)))
    words = desk.do(lambda tx: [command_for(tx, name) for name in ("OUR PACS", "RIS", "GONE")])
    assert words == ["wetread ae echo 'OUR PACS'", "wetread destination test RIS", "wetread destination list"]
