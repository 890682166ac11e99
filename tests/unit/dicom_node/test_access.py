"""Who may open an association, and what a refused administrator reads in the log."""

from __future__ import annotations

import pytest

from dicom_node.access import VERIFICATION, Admission, Caller, Peer, Refusal, Right, decide

DX = "1.2.840.10008.5.1.4.1.1.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
MPPS = "1.2.840.10008.3.1.2.3.3"
PEERS = (
    Peer("PACS", frozenset({Right.SEND})),
    Peer("CR1", frozenset({Right.SEND})),
    Peer("VIEWER", frozenset({Right.RECEIVE})),
    Peer("NOTHING", frozenset()),
)


def ask(
    calling: str = "PACS",
    called: str = "WETREAD",
    wants: tuple[str, ...] = (DX, VERIFICATION),
    *,
    check_called: bool = True,
    disk_full: bool = False,
) -> Refusal | None:
    verdict = judge(calling, called, wants, check_called=check_called, disk_full=disk_full)
    return verdict if isinstance(verdict, Refusal) else None


def judge(
    calling: str, called: str, wants: tuple[str, ...], *, check_called: bool = True, disk_full: bool = False
) -> Refusal | Admission:
    return decide(
        Caller(calling, called, "10.0.0.9", frozenset(wants)),
        own_ae_title="WETREAD",
        peers=PEERS,
        needed={COMMITMENT: frozenset({Right.SEND, Right.RECEIVE}), MPPS: frozenset({Right.SEND})},
        check_called=check_called,
        disk_full=disk_full,
    )


def test_known_sender_is_accepted() -> None:
    assert ask() is None


@pytest.mark.parametrize(
    ("calling", "wants", "withheld"),
    [
        ("PACS", (DX, COMMITMENT, MPPS), ()),
        ("VIEWER", (COMMITMENT,), ()),
        ("VIEWER", (VERIFICATION, COMMITMENT, MPPS), (MPPS,)),
    ],
)
def test_service_is_for_those_with_its_right(calling: str, wants: tuple[str, ...], withheld: tuple[str, ...]) -> None:
    assert judge(calling, "WETREAD", wants) == Admission(frozenset(withheld))


@pytest.mark.parametrize(
    ("calling", "wants"),
    [("VIEWER", (DX, COMMITMENT)), ("VIEWER", (MPPS,)), ("NOTHING", (COMMITMENT,)), ("XYZ", (COMMITMENT, MPPS))],
    ids=["storage without the right", "only what it may not", "no right at all", "stranger"],
)
def test_without_the_right_there_is_no_association(calling: str, wants: tuple[str, ...]) -> None:
    refusal = ask(calling, wants=wants)
    assert refusal is not None
    assert (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 3)


def test_full_disk_concerns_only_those_who_send_objects() -> None:
    assert ask(wants=(COMMITMENT,), disk_full=True) is None
    assert ask(wants=(COMMITMENT, DX), disk_full=True) is not None


@pytest.mark.parametrize(
    ("calling", "words"),
    [
        ("pacs", "only the case differs from 'PACS'"),
        ("CR-1", "differ from 'CR1'"),
        ("XYZ", "wetread ae add 'XYZ@HOST:PORT' --may-send"),
    ],
)
def test_stranger_is_refused_with_the_known_titles_and_the_likely_cause(calling: str, words: str) -> None:
    refusal = ask(calling)
    assert refusal is not None
    assert (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 3)
    assert words in refusal.explanation
    assert "10.0.0.9" in refusal.explanation
    assert "known: PACS, CR1" in refusal.explanation


def test_stranger_may_verify_and_nothing_else() -> None:
    assert ask("XYZ", wants=(VERIFICATION,)) is None
    assert ask("XYZ", wants=(VERIFICATION, DX)) is not None


@pytest.mark.parametrize(
    ("calling", "called", "words"),
    [
        ("PACS", "wetread", "only the case differs"),
        ("WETREAD", "PACS", "swapped"),
        ("PACS", "OTHER", "node.ae_title"),
    ],
)
def test_wrong_called_title_is_refused_in_words(calling: str, called: str, words: str) -> None:
    refusal = ask(calling, called)
    assert refusal is not None
    assert (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 7)
    assert words in refusal.explanation


def test_called_title_is_not_looked_at_where_that_is_switched_off() -> None:
    assert ask(called="ANYTHING", check_called=False) is None


def test_full_disk_refuses_images_for_now_and_still_verifies() -> None:
    refusal = ask(disk_full=True)
    assert refusal is not None
    assert (refusal.result, refusal.source, refusal.diagnostic) == (2, 3, 2)
    assert ask(wants=(VERIFICATION,), disk_full=True) is None
