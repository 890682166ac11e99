"""The brakes: reading, sending and receiving stand still, all of it or for one peer, until a person lets them go on.

Each is a switch, so who pulled it and when is in the audit trail. What is held back is not lost: studies wait in the
worklist, documents in the outbox, and a sender whose association is refused for now keeps its films.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.tables import Switch
from dicom_node.worklist.moves import switch, switched

_PREFIX: Final = "pause-"


class What(StrEnum):
    """What can stand still."""

    WORK = "work"
    SEND = "send"
    RECEIVE = "receive"


OF_PEERS: Final = (What.SEND, What.RECEIVE)  # reading knows no peer


@dataclass(frozen=True, slots=True)
class Pause:
    """One brake that is on. peer: empty for everybody."""

    what: What
    peer: str
    by: str
    at: datetime

    @property
    def command(self) -> str:
        """How to let it go."""
        return f"wetread resume --what {self.what}" + (f" --peer '{self.peer}'" if self.peer else "")

    @property
    def sentence(self) -> str:
        """What stands still."""
        words = {What.WORK: "Reading", What.SEND: "Sending", What.RECEIVE: "Receiving"}[self.what]
        joined = {What.SEND: "to", What.RECEIVE: "from"}.get(self.what, "")
        return f"{words} {joined} {self.peer} is paused" if self.peer else f"{words} is paused"


def pause(tx: Session, what: What, *, peer: str = "", on: bool, now: datetime, actor: str) -> None:
    """Pull a brake, or let it go."""
    switch(tx, _name(what, peer), on=on, now=now, actor=actor)


def is_paused(tx: Session, what: What, peer: str = "") -> bool:
    """For everybody, or for this peer."""
    return switched(tx, _name(what, "")) or (bool(peer) and switched(tx, _name(what, peer)))


def paused_peers(tx: Session, what: What) -> tuple[str, ...]:
    """The peers for which this stands still, by name."""
    return tuple(one.peer for one in pauses(tx) if one.what is what and one.peer)


def pauses(tx: Session) -> list[Pause]:
    """All brakes that are on."""
    chosen = select(Switch).where(Switch.on, Switch.name.startswith(_PREFIX, autoescape=True)).order_by(Switch.name)
    return list(_read(tx.scalars(chosen)))


def _read(rows: Iterable[Switch]) -> Iterator[Pause]:
    for row in rows:
        what, _, peer = row.name.removeprefix(_PREFIX).partition(" ")
        if what in list(What):
            yield Pause(What(what), peer, row.by, row.at)


def _name(what: What, peer: str) -> str:
    return f"{_PREFIX}{what} {peer}" if peer else f"{_PREFIX}{what}"
