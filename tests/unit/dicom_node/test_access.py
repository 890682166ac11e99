"""Who may open an association, and what a refused administrator reads in the log."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from dicom_node.access import VERIFICATION, Admission, Caller, House, Peer, Refusal, Right, decide

DX = "1.2.840.10008.5.1.4.1.1.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
MPPS = "1.2.840.10008.3.1.2.3.3"
SEND = frozenset({Right.SEND, Right.VERIFY})
PEERS = (
    Peer("PACS", SEND, host="10.0.0.5"),
    Peer("CR1", SEND),
    Peer("VIEWER", frozenset({Right.RECEIVE, Right.VERIFY})),
    Peer("NOTHING", frozenset()),
    Peer("AT_HOME", SEND, host="cr2.example", calls_from="host"),
    Peer("LOST", SEND, host="ct1.example", calls_from="host"),
    Peer("NEAR", SEND, calls_from="10.0.0.9,10.2.0.0/16,fd00::/8"),
    Peer("SAFE", SEND, must_use_tls=True),
    Peer("PASTED", SEND, calls_from="::ffff:10.0.0.9"),
    Peer("TWO", SEND, maximum_associations=2),
)
HOUSE = House(
    own_ae_titles=("WETREAD", "WETREAD_ER"),
    addresses_of=lambda host: {"10.0.0.9"} if host == "cr2.example" else set(),
    needed={COMMITMENT: frozenset({Right.SEND, Right.RECEIVE}), MPPS: frozenset({Right.SEND})},
)


def judge(
    calling: str = "PACS",
    called: str = "WETREAD",
    wants: tuple[str, ...] = (DX, VERIFICATION),
    *,
    address: str = "10.0.0.9",
    tls: bool = False,
    associations: int = 0,
    house: House = HOUSE,
) -> Refusal | Admission:
    return decide(Caller(calling, called, address, frozenset(wants), tls, associations), PEERS, house)


def ask(
    calling: str = "PACS",
    called: str = "WETREAD",
    wants: tuple[str, ...] = (DX, VERIFICATION),
    *,
    check_called: bool = True,
    disk_full: bool = False,
) -> Refusal | None:
    verdict = judge(calling, called, wants, house=replace(HOUSE, check_called=check_called, disk_full=disk_full))
    return verdict if isinstance(verdict, Refusal) else None


def numbers(verdict: Refusal | Admission) -> tuple[int, int, int] | None:
    return (verdict.result, verdict.source, verdict.diagnostic) if isinstance(verdict, Refusal) else None


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
    [
        ("VIEWER", (DX, COMMITMENT)),
        ("VIEWER", (MPPS,)),
        ("NOTHING", (COMMITMENT,)),
        ("NOTHING", (VERIFICATION,)),
        ("XYZ", (COMMITMENT, MPPS)),
    ],
    ids=["storage without the right", "only what it may not", "no right at all", "may not even verify", "stranger"],
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
        ("WETREAD", "by our own AE title"),
        ("WETREAD_ER", "by our own AE title"),
        ("10.0.0.9", "that is an IP address"),
        ("viewer", "only the case differs from 'VIEWER'"),
    ],
)
def test_stranger_is_refused_with_the_known_titles_and_the_likely_cause(calling: str, words: str) -> None:
    refusal = ask(calling)
    assert refusal is not None
    assert (refusal.result, refusal.source, refusal.diagnostic) == (1, 1, 3)
    assert words in refusal.explanation
    assert "10.0.0.9" in refusal.explanation
    assert "known: PACS, CR1, AT_HOME, LOST" in refusal.explanation


def test_what_an_administrator_is_told_to_type_is_quoted_for_the_shell() -> None:
    for refusal in (judge("';reboot;'"), judge("';reboot;'", address="10.0.0.5")):
        assert isinstance(refusal, Refusal)
        command = refusal.explanation.partition("wetread ae add ")[2].partition(" --may-send")[0]
        assert shlex.split(command)[0].startswith("';reboot;'")


def test_stranger_may_verify_and_nothing_else() -> None:
    assert ask("XYZ", wants=(VERIFICATION,)) is None
    assert ask("XYZ", wants=(VERIFICATION, DX)) is not None


@pytest.mark.parametrize(
    ("calling", "called", "words"),
    [
        ("PACS", "wetread", "only the case differs"),
        ("WETREAD", "PACS", "swapped"),
        ("PACS", "OTHER", "node.ae_title"),
        ("PACS", "WET READ", "only blanks, hyphens or underscores differ"),
        ("PACS", "10.0.0.1", "that is an IP address"),
        ("WETREAD_ER", "WETREADER", "swapped"),
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


def test_address_of_a_known_peer_says_who_the_stranger_may_be() -> None:
    verdict = judge("OTHER", address="10.0.0.5")
    assert isinstance(verdict, Refusal)
    assert "10.0.0.5 is the address of 'PACS'" in verdict.explanation
    assert "wetread ae add 'OTHER' --may-send" in verdict.explanation


def test_address_of_several_known_peers_names_them_all_and_guesses_none() -> None:
    peers = [Peer(title, SEND, host="10.0.0.5") for title in ("PACS", "PACS_SCU", "VIEWER")]
    verdict = decide(Caller("OTHER", "WETREAD", "10.0.0.5", frozenset({DX})), peers, HOUSE)
    assert isinstance(verdict, Refusal)
    assert (
        "10.0.0.5 is the address of 'PACS', 'PACS_SCU' and 'VIEWER', and nothing tells which of them this is, if any; "
        "correct its AE title there, or add this one with: wetread ae add 'OTHER' --may-send"
    ) in verdict.explanation


def test_every_title_of_ours_may_be_called() -> None:
    assert judge(called="WETREAD_ER") == Admission()


def test_known_peer_without_the_right_is_told_the_option_that_gives_it() -> None:
    verdict = judge("VIEWER")
    assert isinstance(verdict, Refusal)
    assert "wetread ae edit 'VIEWER' --may-send" in verdict.explanation
    verdict = judge("NOTHING", wants=(VERIFICATION,))
    assert isinstance(verdict, Refusal)
    assert "--may-verify" in verdict.explanation


@pytest.mark.parametrize(
    ("calling", "address", "answer"),
    [
        ("AT_HOME", "10.0.0.9", None),
        ("AT_HOME", "::ffff:10.0.0.9", None),
        ("AT_HOME", "10.0.0.8", (1, 1, 3)),
        ("NEAR", "10.0.0.9", None),
        ("NEAR", "10.2.200.1", None),
        ("NEAR", "fd00::1", None),
        ("NEAR", "10.3.0.1", (1, 1, 3)),
        ("PASTED", "::ffff:10.0.0.9", None),
        ("PASTED", "10.0.0.9", None),
        ("NEAR", "", (1, 1, 3)),
        ("CR1", "192.0.2.1", None),
    ],
)
def test_peer_calls_from_where_it_may(calling: str, address: str, answer: tuple[int, int, int] | None) -> None:
    verdict = judge(calling, address=address)
    assert numbers(verdict) == answer
    if isinstance(verdict, Refusal):
        assert verdict.code == "calling-address-not-recognized"
        assert address in verdict.explanation


@pytest.mark.parametrize("address", ["10.0.0.9", ""])
def test_peer_whose_host_cannot_be_looked_up_is_told_to_come_later(address: str) -> None:
    verdict = judge("LOST", address=address)
    assert isinstance(verdict, Refusal)
    assert (verdict.code, numbers(verdict)) == ("host-lookup-failed", (2, 3, 1))
    assert "its host 'ct1.example' only, which cannot be looked up here" in verdict.explanation


def test_peer_that_must_use_tls_gets_no_association_in_the_clear() -> None:
    verdict = judge("SAFE")
    assert isinstance(verdict, Refusal)
    assert (verdict.code, numbers(verdict)) == ("tls-required", (1, 1, 1))
    assert judge("SAFE", tls=True) == Admission()


def test_peer_with_a_limit_is_told_to_come_later() -> None:
    assert judge("TWO", associations=1) == Admission()
    verdict = judge("TWO", associations=2)
    assert isinstance(verdict, Refusal)
    assert (verdict.code, numbers(verdict)) == ("too-many-associations", (2, 3, 2))


def test_strangers_may_be_refused_even_to_verify() -> None:
    house = replace(HOUSE, strangers_may_verify=False)
    assert numbers(judge("XYZ", wants=(VERIFICATION,), house=house)) == (1, 1, 3)
    assert judge("PACS", wants=(VERIFICATION,), house=house) == Admission()
