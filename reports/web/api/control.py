"""Operations for whoever runs the node: queues, dead letters, brakes."""

from __future__ import annotations

from dicom_node import books, destinations, peers
from dicom_node.database import clock
from dicom_node.errors import ConfigurationError
from dicom_node.forecast import forecast
from dicom_node.worklist import pauses
from dicom_node.worklist.pauses import OF_PEERS, What
from reports.web import letters, queues
from reports.web.api.answers import (
    LetterAnswer,
    Letters,
    LettersQuery,
    OutboundAnswer,
    PauseAnswer,
    PauseOrder,
    Pauses,
    Queues,
)
from reports.web.api.operations import Asked
from reports.web.api.problems import Problem
from reports.web.api.studies import delivery_answer
from reports.web.doors import visitor_of


def waiting(asked: Asked) -> Queues:
    """What waits where."""
    with asked.site.database.read() as tx:
        backlog = books.backlog(tx)
        ahead = forecast(tx, backlog, clock(tx), asked.site.premises.backlog_hours)
        found = queues.outbound(tx, pauses.paused_peers(tx, What.SEND))
    return Queues(
        receiving=backlog.receiving,
        scheduled=backlog.scheduled,
        in_progress=backlog.in_progress,
        held=backlog.held,
        queued=backlog.queued,
        sent=backlog.sent,
        dead_letters=backlog.dead_letters,
        read_per_hour=ahead.read_per_hour,
        read_by=ahead.read_by,
        sent_by=ahead.sent_by,
        backlog_waiting=ahead.backlog_waiting,
        backlog_from=ahead.backlog_from,
        destinations=[
            OutboundAnswer(
                name=one.name,
                registered=one.registered,
                paused=one.paused,
                queued=one.queued,
                sent=one.sent,
                failed=one.failed,
                oldest=one.oldest,
                last_error=one.last_error,
            )
            for one in found
        ],
    )


def dead_letters(asked: Asked) -> Letters:
    """What was given up, and what a person does about it."""
    query: LettersQuery = asked.query
    with asked.site.database.read() as tx:
        found = letters.letters(tx, letters.Wish(query.destination, query.reason))
        return Letters(
            items=[
                LetterAnswer(
                    delivery=delivery_answer(one.delivery),
                    study=one.study.id,
                    explanation=one.explanation,
                    cure=one.cure,
                    can_be_requeued=not one.hindrance,
                )
                for one in found
            ],
            studies=[revision.study_id for revision in letters.given_up(tx)],
        )


def brakes(asked: Asked) -> Pauses:
    """Which are on."""
    with asked.site.database.read() as tx:
        found = pauses.pauses(tx)
    return Pauses(items=[PauseAnswer(what=one.what, peer=one.peer, by=one.by, at=one.at) for one in found])


def pause(asked: Asked) -> Pauses:
    """Pull one brake or let it go; those that are on afterwards."""
    order: PauseOrder = asked.body
    if order.peer and order.what not in OF_PEERS:
        raise ConfigurationError("reading cannot be paused for one peer; a rule can exclude its studies")
    with asked.site.database.write() as tx:
        known = {to.name for to in destinations.destinations(tx)} | set(peers.titles(tx))
        if order.peer and order.on and order.peer not in known:
            raise Problem(404, "unknown-peer", "There is no such destination or sender.")
        actor = visitor_of(asked.request).actor
        pauses.pause(tx, order.what, peer=order.peer, on=order.on, now=clock(tx), actor=actor)
    return brakes(asked)
