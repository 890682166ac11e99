"""Is everything as it should be? Each finding says what is wrong and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from agent import broker, certificates, client_keys, disk, edge, schema
from agent.config import Config, unread_variables
from agent.readers import READERS, demonstration_checkpoint
from agent.readers.weights import origin
from agent.transports import try_out
from dicom_node import audit, books, peer, peers, refused, turned_away
from dicom_node.aet import typed
from dicom_node.associations import keep_identifiers_out_of_logs
from dicom_node.beats import SILENT, has_fewer_slots, is_ready, is_starting, is_stopped, seconds_since, why_not
from dicom_node.counted import counted
from dicom_node.database import Database, clock
from dicom_node.destinations import destinations, of_peer, takes_nothing
from dicom_node.errors import DatabaseNotReady, SendFailure
from dicom_node.kinds import TAKES_BACK
from dicom_node.rules import book
from dicom_node.tables import AuditRow, Delivery, DeliveryState, ProcessBeat, RemoteAE, Way
from dicom_node.transports import Destination
from dicom_node.worklist import gaps
from dicom_node.worklist.pauses import pauses
from reports import recalls, watches
from reports.config import ReportsConfig
from reports.elapsed import age
from reports.people import accounts

_LONG = timedelta(minutes=30)
_FORGOTTEN = timedelta(hours=1)  # a pause for a repair does not last so long
_RECENT = timedelta(hours=24)
_SOON = timedelta(minutes=10)
_WEEK = timedelta(days=7)  # long enough for a weekend and a holiday
_ASKED_AT_ONCE = 8  # who is away takes seconds to say so
_SHOWN = 10  # numbers of studies in one line
_PROCESSES = ("listen", "dispatch", "work", "send", "web")
_TRIED = timedelta(minutes=2)  # `wetread run` tries again after a minute at the latest, and loading takes its time
_ALONE = ("listen", "dispatch")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `wetread check`."""

    subject: str
    verdict: Literal["ok", "warning", "wrong"]
    words: str  # what was found, and what to do where it is not ok


def findings(config: Config) -> Iterator[Finding]:
    """Look at everything, one after another; what cannot be looked at is said, too."""
    yield from (Finding("environment", "warning", sentence) for sentence in unread_variables())
    yield Finding(*disk.examine(config.node))
    yield _model(config)
    yield from _time_zone(config.reports, datetime.now(UTC))
    yield _broker(config)
    yield from (Finding(*told) for told in certificates.examine(config, datetime.now(UTC)))
    yield from (Finding(*told) for told in client_keys.examine(config))
    database = Database(config.node.database_url)
    try:
        schema.check(database)
        with database.read() as tx:
            yield from _database(tx)
            away = [Finding(*told) for told in disk.examine_store(config.node, tx)]
            yield from away
            yield from _processes(tx, store_is_away=bool(away))
            yield from _rules(tx, config.reader.name)
            yield from _web(config, tx)
            yield from _watched(config, tx)
            known, services = peers.everyone(tx), destinations(tx)
        if database.file is not None:
            yield from _doubles(database.file)
        yield from _peers(config, known)
        yield from _services(config, [to for to in services if to.way is not Way.DIMSE], nobody=not services)
    except DatabaseNotReady as error:
        yield Finding("database", "wrong", str(error))
    except (OSError, SQLAlchemyError) as error:
        words = f"does not answer ({type(error).__name__}); is node.database right?"
        yield Finding("database", "wrong", edge.explain(error, config) or words)
    finally:
        database.close()


def _database(tx: Session) -> Iterator[Finding]:
    yield Finding("database", "ok", f"version {schema.VERSION}")
    yield from _books(tx)
    yield _audit(tx)
    yield from _waiting(tx)
    yield from _not_taken_back(tx)
    yield from _still_to_be_taken_back(tx)
    yield from _left_behind(tx)


def _rules(tx: Session, reader: str) -> Iterator[Finding]:
    """A rule that names what is gone, or a reader that nobody runs, sends studies nowhere without a word."""
    for standing in book.everyone(tx):
        subject = f"rule {standing.name}"
        if standing.rule is None:
            yield Finding(subject, "wrong", f"cannot be read and is passed over: {standing.trouble}")
        elif standing.rule.enabled:
            told = book.unknown(tx, standing.rule, readers=frozenset(READERS))
            yield from (Finding(subject, "wrong", words) for words in told)
            if standing.rule.reader in READERS and standing.rule.reader != reader:
                words = f"its studies wait for a worker with reader {standing.rule.reader}; here it is {reader}"
                yield Finding(subject, "warning", words)


def _web(config: Config, tx: Session) -> Iterator[Finding]:
    """Pages that others reach are shut until somebody can sign in."""
    others = not config.web.is_loopback or bool(config.web.proxy)
    if others and not config.oidc.issuer and not accounts.are_there_any(tx):
        words = f"{config.web.address} shows nothing, since there are no users; make the first: wetread user first"
        yield Finding("pages", "warning", words)


def _watched(config: Config, tx: Session) -> Iterator[Finding]:
    """FHIR servers that are asked for signed reports: one that is not heard leaves drafts beside those."""
    now = clock(tx)
    silent = max(_SOON, timedelta(seconds=10 * config.fhir.watch_seconds))
    asked = [to for to in destinations(tx) if to.way is Way.FHIR] if config.fhir.watch else []
    for to in asked:
        row = tx.get(watches.Watch, to.name)
        subject = f"watch {to.name}"
        heard = "never heard" if row is None or row.heard_at is None else f"last heard {_when(row.heard_at, now)}"
        if row is None:
            yield Finding(subject, "warning", "not asked for signed reports yet: does `dispatch` run?")
        elif row.failing_since is not None:
            verdict: Literal["wrong", "warning"] = "wrong" if now - row.failing_since > _SOON else "warning"
            words = f"failing since {_when(row.failing_since, now)}, {heard}: {row.last_error}"
            cure = f"drafts stay beside what is signed there; try: wetread destination test {to.name}"
            yield Finding(subject, verdict, f"{words}; {cure}")
        elif row.heard_at is None or now - row.heard_at > silent:
            yield Finding(subject, "warning", f"{heard}, and not asked since: does `dispatch` run?")
        else:
            yield Finding(subject, "ok", f"asked for signed reports, {heard}")


def _when(moment: datetime, now: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z ({age(moment, now)} ago)"


def _model(config: Config) -> Finding:
    folder = config.reader.checkpoint or demonstration_checkpoint()
    ours = config.reader.checkpoint is None
    if not ours and not folder.is_dir():
        return Finding("model", "wrong", origin.absent(folder))
    missing = [name for name in ("config.json", "tokenizer.model") if not (folder / name).exists()]
    if missing or not list(folder.glob("*.safetensors")):
        wanted = ", ".join(missing or ["*.safetensors"])
        cure = "Install wetread again, or set reader.checkpoint" if ours else origin.mend(folder)
        return Finding("model", "wrong", f"{folder} lacks {wanted}. {cure}")
    if ours:
        return Finding(
            "model", "warning", "the demonstration model, which is not for clinical use; set reader.checkpoint"
        )
    return Finding("model", "ok", str(folder))


def _time_zone(reports: ReportsConfig, now: datetime) -> Iterator[Finding]:
    """Moments in drafts that are hours off look right in every viewer."""
    here, theirs = now.astimezone(), now.astimezone(ZoneInfo(reports.time_zone))
    if "time_zone" not in reports.model_fields_set and here.utcoffset() != theirs.utcoffset():
        words = f"drafts are dated in UTC, this machine's time is {here:%Z %z}; set reports.time_zone"
        yield Finding("time zone", "warning", words)


def _broker(config: Config) -> Finding:
    if broker.answers(config):
        return Finding("broker", "ok", "Redis answers")
    words = "Redis does not answer: studies wait up to 2 s longer, none is lost; start it (wetread run starts its own)"
    return Finding("broker", "warning", words)


def _books(tx: Session) -> Iterator[Finding]:
    balance = books.balance(tx)
    counts = ", ".join(f"{count} {book}" for book, count in balance.revisions.items() if count)
    received = sum(balance.receptions.values())
    parts = " + ".join(f"{count} {outcome}" for outcome, count in balance.receptions.items())
    if not balance.problems:
        yield Finding("books", "ok", f"balanced; studies: {counts or 'none'}; objects: {received} = {parts}")
    for problem in balance.problems:
        yield Finding("books", "wrong", f"{problem}; report this as a defect, with a backup")


def _audit(tx: Session) -> Finding:
    place = audit.broken_seal(tx)
    if place is None:
        return Finding("audit trail", "ok", "unbroken")
    return Finding("audit trail", "wrong", f"row {place} of the chain was changed or one before it is missing")


def _waiting(tx: Session) -> Iterator[Finding]:
    waiting, now = books.backlog(tx), clock(tx)
    if waiting.oldest_scheduled is not None and now - waiting.oldest_scheduled > _LONG:
        minutes = int((now - waiting.oldest_scheduled).total_seconds() // 60)
        wait = counted(waiting.scheduled, "study waits", "studies wait")
        words = f"{wait} to be read, the oldest for {minutes} min: does `work` keep up?"
        yield Finding("to be read", "warning", words)
    if waiting.oldest_queued is not None and now - waiting.oldest_queued > _LONG:
        minutes = int((now - waiting.oldest_queued).total_seconds() // 60)
        wait = counted(waiting.queued, "document waits", "documents wait")
        words = f"{wait} to be sent, the oldest for {minutes} min; see why with: wetread queue"
        yield Finding("to be sent", "warning", words)
    if waiting.dead_letters:
        words = "wetread study list --book dead-lettered, then wetread study requeue, or (destination-off) queue close"
        yield Finding("dead letters", "wrong", f"{waiting.dead_letters}: {words}")
    if waiting.held:
        wait = counted(waiting.held, "study waits for a person", "studies wait for a person")
        yield Finding("held", "warning", f"{wait}: wetread study list --held")
    if waiting.conflicts:
        hold = counted(waiting.conflicts, "study holds", "studies hold")
        yield Finding("conflicts", "warning", f"{hold} two contents of one UID: wetread study list --conflicts")
    if count := gaps.count_open(tx):
        are = counted(count, "study that a peer has is", "studies that a peer has are")
        yield Finding("reconciliation", "warning", f"{are} missing here: wetread reconcile --retrieve")
    if count := refused.count_since(tx, now - _RECENT):
        were = counted(count, "object was", "objects were")
        yield Finding("quarantine", "warning", f"{were} refused in 24 hours; whose: wetread quarantine list")
    if callers := turned_away.newest(tx, since=now - _RECENT):
        last = callers[0]
        were = counted(len(callers), "caller was", "callers were")
        words = f"{were} refused in 24 hours: wetread ae refused; the last: {last.explanation}"
        yield Finding("callers", "warning", words)
    for brake in pauses(tx):
        # A pause that was forgotten keeps every study waiting.
        verdict: Literal["wrong", "warning"] = "wrong" if now - brake.at > _FORGOTTEN else "warning"
        yield Finding("paused", verdict, f"{brake.sentence} by {brake.by} for {age(brake.at, now)}: {brake.command}")


def _processes(tx: Session, *, store_is_away: bool = False) -> Iterator[Finding]:
    now = clock(tx)
    beats = {beat.name.split("@")[0]: beat for beat in tx.scalars(select(ProcessBeat).order_by(ProcessBeat.beat_at))}
    for name in _PROCESSES:
        beat = beats.get(name)
        if store_is_away and name == "listen" and not _works(beat, now):
            words = "does not start while the store is away; once that is back, `wetread run` or systemd start it again"
            yield Finding(name, "wrong", words)
        else:
            yield _process(name, beat, now)


def _works(beat: ProcessBeat | None, now: datetime) -> bool:
    return beat is not None and now - beat.beat_at <= SILENT and is_ready(beat)


def _process(name: str, beat: ProcessBeat | None, now: datetime) -> Finding:
    start = f"start it with: wetread {name}, or all with: wetread run"
    if beat is None:
        return Finding(name, "wrong", f"never ran; {start}")
    ago = seconds_since(beat.beat_at, now)
    if is_stopped(beat.detail):
        return Finding(name, "wrong", f"{beat.name} was stopped {ago} s ago; {start}")
    if why_not(beat.detail):
        late = f"; not tried again for {ago} s; {start}" if now - beat.beat_at > _TRIED else ""
        return Finding(name, "wrong", f"{beat.name} {beat.detail}{late}")
    if now - beat.beat_at > SILENT:
        return Finding(name, "wrong", f"no sign of life for {ago} s ({beat.name}); {start}")
    if is_starting(beat.detail):
        since = seconds_since(beat.started_at, now)
        return Finding(name, "warning", f"{beat.name} {beat.detail} since {since} s; it works when that is done")
    verdict: Literal["ok", "warning"] = "warning" if has_fewer_slots(beat.detail) else "ok"
    return Finding(name, verdict, f"{' '.join(filter(None, (beat.name, beat.detail)))}, {ago} s ago")


def _doubles(database: Path) -> Iterator[Finding]:
    """Two of a kind on one machine share one name for their beats, so only the open SQLite file tells of both."""
    for name in _ALONE:
        numbers = _at_work(name, database.resolve())
        if len(numbers) > 1:
            words = f"processes {', '.join(map(str, numbers))} are all `{name}` on {database.parent}: stop all but one"
            yield Finding(name, "warning", words)


def _at_work(name: str, database: Path) -> list[int]:
    """Processes with this name on their command line and this file open; on Linux, and of our own user only."""
    found: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")[-1] != name.encode():
                continue
            if any(descriptor.readlink() == database for descriptor in (process / "fd").iterdir()):
                parent = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
                found[int(process.name)] = int(parent)
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
    return sorted(number for number, parent in found.items() if parent not in found)


def _peers(config: Config, known: Sequence[RemoteAE]) -> Iterator[Finding]:
    keep_identifiers_out_of_logs()
    if not any(remote.may_send for remote in known):
        yield Finding("peers", "warning", "nobody may send; wetread ae add PACS@HOST:PORT --may-send")
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as askers:
        yield from askers.map(partial(_peer, config), [remote for remote in known if remote.host])


def _peer(config: Config, remote: RemoteAE) -> Finding:
    try:
        peer.echo(peer.address_of(of_peer(remote), config.node, seconds=5))
    except SendFailure as failure:
        return Finding(f"peer {remote.ae_title}", "wrong", str(failure))
    if takes_nothing(remote):
        words = f"answers C-ECHO, but takes nothing of ours; wetread ae probe {typed(remote.ae_title)} says more"
        return Finding(f"peer {remote.ae_title}", "warning", words)
    unheard = peers.unheard_name(remote, config.node)
    if unheard:
        return Finding(f"peer {remote.ae_title}", "warning", f"answers C-ECHO, but {unheard}")
    return Finding(f"peer {remote.ae_title}", "ok", "answers C-ECHO")


def _services(config: Config, services: Sequence[Destination], *, nobody: bool) -> Iterator[Finding]:
    """Destinations that are no AE titles: is each there, and does it accept us?"""
    if nobody:
        yield Finding("peers", "warning", "no destination for drafts; wetread ae add PACS@HOST:PORT --send-to")
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as askers:
        yield from askers.map(partial(_service, config), services)


def _service(config: Config, to: Destination) -> Finding:
    if to.credential and to.credential not in config.delivery.credentials:
        words = f"delivery.credentials has no {to.credential!r}: nothing can be sent there"
        return Finding(f"destination {to.name}", "wrong", words)
    try:
        return Finding(f"destination {to.name}", "ok", try_out(config, to))
    except SendFailure as failure:
        return Finding(f"destination {to.name}", "wrong", str(failure))


def _not_taken_back(tx: Session) -> Iterator[Finding]:
    """A draft that stays where it was to be taken back is a danger that no other number shows."""
    failed = select(Delivery.destination, func.count()).where(
        Delivery.stage.in_(TAKES_BACK), Delivery.state == DeliveryState.FAILED
    )
    for name, count in tx.execute(failed.group_by(Delivery.destination).order_by(Delivery.destination)):
        notes = counted(count, "note that takes a report back", "notes that take reports back")
        words = f"{notes} did not reach {name}: wetread destination requeue {typed(name)}"
        yield Finding("taken back", "wrong", words)


def _still_to_be_taken_back(tx: Session) -> Iterator[Finding]:
    """What `dispatch` takes back at once, unless it does not run or fails."""
    overdue = list(recalls.overdue(tx, clock(tx) - _SOON))
    if overdue:
        names = ", ".join(sorted({name for one in overdue for name in one.got}))
        words = (
            f"{counted(len(overdue), 'ended report is', 'ended reports are')} not taken back yet from {names}: "
            "does `dispatch` run? Its log says why"
        )
        yield Finding(
            "taken back", "warning", f"{words} (recall_failed); studies {_numbers({one.study_id for one in overdue})}"
        )


def _left_behind(tx: Session) -> Iterator[Finding]:
    """Where a person must remove a draft by hand. Nothing says that it was done, so it is told for a week."""
    told = select(AuditRow.detail, AuditRow.study_id).where(
        AuditRow.event == recalls.LEFT_BEHIND, AuditRow.at >= clock(tx) - _WEEK
    )
    places: dict[str, set[int]] = {}
    for detail, study_id in tx.execute(told.distinct()):
        places.setdefault(json.loads(detail)["destination"], set()).add(study_id or 0)
    for name, studies in sorted(places.items()):
        words = (
            f"{name} could not be told that reports of {counted(len(studies), 'study')} are taken back: "
            "have them removed there"
        )
        yield Finding("left behind", "warning", f"{words}, and let it take notes (kos); studies {_numbers(studies)}")


def _numbers(studies: Collection[int]) -> str:
    """The newest ones, as `wetread study show` takes them."""
    newest = sorted(studies, reverse=True)
    return " ".join(f"#{number}" for number in newest[:_SHOWN]) + (" ..." if len(newest) > _SHOWN else "")
