"""Remote AE titles: registered, changed, forgotten, each with a trace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicom_node import peers
from dicom_node.destinations import destinations
from dicom_node.errors import ConfigurationError, NotFound
from dicom_node.tables import Mode, Proof, RemoteAE
from tests.unit.dicom_node.desk import Desk


def add(desk: Desk, title: str = "PACS", *, host: str = "10.0.0.5", send_to: bool = True) -> None:
    peer = RemoteAE(ae_title=title, host=host, port=104, may_send=True, send_to=send_to)
    desk.do(lambda tx: peers.add(tx, peer, now=desk.now, actor="p"))


def test_peer_is_registered_with_the_defaults_that_are_safe(desk: Desk) -> None:
    add(desk)
    peer = desk.ask(lambda tx: peers.find(tx, "PACS"))
    assert (peer.mode, peer.proof) == (Mode.DRAFT, Proof.QUERY)
    assert desk.events() == ["peer-added"]


def test_title_is_taken_once(desk: Desk) -> None:
    add(desk)
    with pytest.raises(ConfigurationError, match="registered already"):
        add(desk)
    add(desk, "pacs")


def test_destination_needs_an_address(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="needs a host"):
        add(desk, host="")
    add(desk, host="", send_to=False)
    with pytest.raises(ConfigurationError, match="needs a host"):
        desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", send_to=True))
    assert desk.ask(destinations) == ()


def test_change_leaves_the_rest(desk: Desk) -> None:
    add(desk)
    desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", mode=Mode.HOLD, may_send=False))
    peer = desk.ask(lambda tx: peers.find(tx, "PACS"))
    assert (peer.mode, peer.may_send, peer.send_to, peer.host) == (Mode.HOLD, False, True, "10.0.0.5")
    assert desk.ask(lambda tx: peers.titles(tx, senders=True)) == []
    assert desk.ask(peers.titles) == ["PACS"]


def test_unknown_title_is_told_with_the_likely_cause(desk: Desk) -> None:
    add(desk)
    with pytest.raises(NotFound, match="only the case differs"):
        desk.do(lambda tx: peers.remove(tx, "pacs", now=desk.now, actor="p"))


def test_unknown_title_is_told_once(desk: Desk) -> None:
    add(desk)
    with pytest.raises(NotFound) as raised:
        desk.do(lambda tx: peers.remove(tx, "NOBODY", now=desk.now, actor="p"))
    assert str(raised.value).count("not registered") == 1
    assert "wetread ae add 'NOBODY@HOST:PORT'" in str(raised.value)


def test_forgotten_peer_is_gone(desk: Desk) -> None:
    add(desk)
    desk.do(lambda tx: peers.remove(tx, "PACS", now=desk.now, actor="p"))
    assert desk.ask(peers.everyone) == []
    assert desk.events() == ["peer-added", "peer-removed"]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("10.0.0.5/32, 2001:db8::7/128", "10.0.0.5,2001:db8::7"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("10.1.0.0/24", "10.1.0.0/24"),
    ],
)
def test_networks_are_kept_as_wide_as_they_were_typed(desk: Desk, typed: str, kept: str) -> None:
    add(desk)
    peer = desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", calls_from=typed))
    assert peer.calls_from == kept
    desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", calls_from=kept))
    assert desk.ask(peers.as_callers)[0].calls_from == kept


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"dimse_timeout_seconds": -1}, "--dimse-timeout is up to 3600 seconds"),
        ({"idle_timeout_seconds": 3601}, "--idle-timeout is up to 3600 seconds"),
        ({"acse_timeout_seconds": 3601}, "--acse-timeout is up to 3600 seconds"),
        ({"maximum_pdu_size": 4095}, "--maximum-pdu is 4096 to 16777216 bytes"),
        ({"maximum_pdu_size": 1 << 30}, "--maximum-pdu is 4096 to 16777216 bytes"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(desk: Desk, wrong: dict[str, int], told: str) -> None:
    add(desk)
    with pytest.raises(ConfigurationError, match=told):
        desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", **wrong))  # type: ignore[arg-type]


def test_an_association_may_take_as_long_as_the_terms_of_its_peer_say(desk: Desk) -> None:
    add(desk)
    assert desk.ask(peers.as_callers)[0].terms.seconds_for(2, usual=60) == 60 + 2 * 60 + 30
    desk.do(lambda tx: peers.edit(tx, "PACS", now=desk.now, actor="p", dimse_timeout_seconds=120))
    terms = desk.ask(peers.as_callers)[0].terms
    assert terms.seconds_for(2, usual=60) == 120 + 2 * 120 + 30
    assert replace(terms, acse_timeout_seconds=5).seconds_for(2, usual=60) == 5 + 2 * 120 + 30
    assert (terms.dimse_timeout_seconds, terms.idle_timeout_seconds, terms.maximum_pdu_size) == (120, 0, 0)
