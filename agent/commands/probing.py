"""What `wetread ae` asks of peers: the address, the question which forms they take, and the answer in print."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from agent.commands.session import person, print_table
from dicom_node import peers
from dicom_node.aet import typed
from dicom_node.database import Database, clock
from dicom_node.destinations import in_words, of_peer
from dicom_node.errors import ConfigurationError, SendFailure
from dicom_node.tables import Mode, Proof, RemoteAE

if TYPE_CHECKING:
    from agent.config import Config
    from dicom_node.peer import Address
    from dicom_node.probe import Probed

_PROBE_SECONDS = 5.0
_LET_IT_ACCEPT = "Let it accept Basic Text SR (1.2.840.10008.5.1.4.1.1.88.11) or Encapsulated PDF"


_MODE_IN_WORDS = MappingProxyType(
    {
        Mode.DRAFT: "unverified drafts go there from now on",
        Mode.HOLD: "only what a radiologist has signed here goes there",
        Mode.SHADOW: "nothing goes there; drafts stay here",
    }
)


class Answer(StrEnum):
    """What became of the question to a new peer."""

    TAKES = "takes"  # or nobody asked
    TAKES_NOTHING = "takes-nothing"
    NONE = "none"


def what_it_gets(peer: RemoteAE, answer: Answer = Answer.TAKES) -> str:
    """What a mode means, in the moment in which it begins to count."""
    other = "" if peer.mode is Mode.SHADOW else f"; for a trial: wetread ae edit {typed(peer.ae_title)} --mode shadow"
    words = _MODE_IN_WORDS[peer.mode]
    if answer is Answer.NONE and peer.mode is not Mode.SHADOW:
        words = f"{words.removesuffix(' from now on')}, as soon as it can be reached; until then it waits here"
    return f"mode {peer.mode}: {words}{other}"


def takes_nothing(title: str) -> str:
    """What to do with a destination that takes none of our forms."""
    return (
        f"ATTENTION: {title} takes nothing of ours, so each study for it ends as a dead letter. {_LET_IT_ACCEPT}, "
        f"then probe it again; until then: wetread ae edit {typed(title)} --objects none"
    )


def other_proof(peer: RemoteAE, advised: Proof) -> str:
    """What to type where a peer is to be asked for proof and takes no question; empty where it is not.

    That it takes one says nothing against commitment or acknowledgement, which a person chose.
    """
    if (peer.proof, advised) != (Proof.QUERY, Proof.ACKNOWLEDGEMENT):
        return ""
    return f"proof is {peer.proof}; change it with: wetread ae edit {typed(peer.ae_title)} --proof {advised}"


def probe_new(config: Config, database: Database, peer: RemoteAE, *, settle_proof: bool) -> Answer:
    """Ask a peer that was just registered; that it does not answer yet is worth a note, no more.

    One that takes nothing is set to get nothing, unless a person chose its objects.
    """
    from dicom_node.probe import advise

    try:
        probed = ask(config, database, peer, seconds=_PROBE_SECONDS)
    except SendFailure as failure:
        _tell_silence(peer, failure)
        return Answer.NONE
    advice = advise(probed)
    if settle_proof and peer.proof is not advice.proof:
        with database.write() as tx:
            peers.edit(tx, peer.ae_title, now=clock(tx), actor=person(), proof=advice.proof)
    for reason in advice.reasons:
        click.echo(f"  {reason}")
    if advice.objects or peer.objects:
        return Answer.TAKES
    with database.write() as tx:
        peers.edit(tx, peer.ae_title, now=clock(tx), actor=person(), send_to=False)
    click.echo(
        f"ATTENTION: {peer.ae_title} takes nothing of ours, and is registered to get nothing. {_LET_IT_ACCEPT}, then: "
        f"wetread ae edit {typed(peer.ae_title)} --send-to, and wetread ae probe {typed(peer.ae_title)}",
        err=True,
    )
    return Answer.TAKES_NOTHING


def _tell_silence(peer: RemoteAE, failure: SendFailure) -> None:
    words = str(failure)
    end = "" if words.endswith((".", "?")) else "."
    click.echo(f"note: not probed: {words}{end}\nOnce it answers: wetread ae probe {typed(peer.ae_title)}")


def probe_again(config: Config, database: Database, peer: RemoteAE) -> bool:
    """Ask a peer that was just changed; what a person set stays. False: it takes nothing, and nobody chose objects."""
    from dicom_node.probe import advise

    try:
        probed = ask(config, database, peer, seconds=_PROBE_SECONDS)
    except SendFailure as failure:
        _tell_silence(peer, failure)
        return True
    advice = advise(probed)
    if words := other_proof(peer, advice.proof):
        click.echo(words)
    if advice.objects or peer.objects:
        return True
    click.echo(takes_nothing(peer.ae_title), err=True)
    return False


def ask(config: Config, database: Database, peer: RemoteAE, *, seconds: float | None = None, actor: str = "") -> Probed:
    """Ask, and keep the answer; `actor`: who, where nobody typed a command. Raises SendFailure."""
    from dicom_node.associations import keep_identifiers_out_of_logs
    from dicom_node.probe import probe, stored

    keep_identifiers_out_of_logs()
    with database.read() as tx:
        now = clock(tx)
    probed = probe(address_of(config, peer, seconds=seconds), now)
    with database.write() as tx:
        peers.remember_probe(tx, peer.ae_title, stored(probed), now=now, actor=actor or person())
    return probed


def print_contexts(probed: Probed) -> None:
    """A line for each class."""
    from dicom_node.probe import ASKED, name_of

    rows = []
    for uid in ASKED:
        syntaxes = ", ".join(name_of(syntax) for syntax in probed.accepted.get(uid, ()))
        rows.append((name_of(uid), uid, "accepted" if syntaxes else "refused", syntaxes or "-"))
    print_table(("CLASS", "UID", "ANSWER", "TRANSFER SYNTAXES"), rows, empty="")


def probed_as_json(title: str, probed: Probed) -> dict[str, object]:
    """The answer with our advice."""
    from dicom_node.probe import ASKED, advise, name_of

    advice = advise(probed)
    return {
        "ae_title": title,
        "probed_at": probed.at,
        "contexts": [
            {
                "sop_class_uid": uid,
                "name": name_of(uid),
                "accepted": probed.takes(uid),
                "transfer_syntaxes": list(probed.accepted.get(uid, ())),
            }
            for uid in ASKED
        ],
        "objects": [word for word in in_words(advice.objects).split(",") if word],
        "proof": advice.proof,
        "why": list(advice.reasons),
    }


def with_address(peer: RemoteAE) -> RemoteAE:
    """The peer again. Raises ConfigurationError where it cannot be called."""
    if not peer.host:
        cure = f"wetread ae edit {typed(peer.ae_title)} --address HOST:PORT"
        raise ConfigurationError(f"{peer.ae_title} has no address; give it one with: {cure}")
    return peer


def address_of(config: Config, peer: RemoteAE, *, seconds: float | None = None) -> Address:
    """Both ends of an association with it; `seconds` is our patience, None that of the node."""
    from dicom_node import peer as remote

    return remote.address_of(of_peer(peer), config.node, seconds=seconds)
