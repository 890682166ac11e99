"""What the administrator's pages cannot do themselves, done as the commands do it: peers tried, rules tried, papers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from click import UsageError

from agent import __version__, trials
from agent.commands.model import describe, rows_of
from agent.commands.probing import ask
from agent.commands.processes import services
from agent.config import Config
from agent.health import findings
from agent.papers.conformance import statement
from agent.papers.facts import gather
from agent.papers.sheet import sheet
from agent.readers import READERS, demonstration_checkpoint
from agent.readers.weights.proof import examine
from agent.routing import is_backlog_time
from agent.transports import try_out
from dicom_node import destinations, peers
from dicom_node import peer as remote
from dicom_node.associations import keep_identifiers_out_of_logs
from dicom_node.database import Database, clock
from dicom_node.destinations import in_words, of_peer
from dicom_node.errors import ConfigurationError, NotFound, SendFailure
from dicom_node.probe import ASKED, advise, name_of
from dicom_node.rules.decision import Standing
from dicom_node.services import Directory
from dicom_node.tables import RemoteAE
from reports.handout import Handout
from reports.page.fonts import find_fonts
from reports.page.handout_pdf import handout_pdf
from reports.web.caretaker import Advised, Answer, Context, Model, Tried, Verdict
from reports.web.caretaker import Trial as ShownTrial

_SECONDS = 10.0  # that a person waits for a peer


class Caretaker:
    """Lent to the pages by the web process."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database
        self._patience = min(_SECONDS, config.node.dimse_timeout_seconds)

    def echo(self, title: str) -> Tried:
        """C-ECHO. Raises NotFound, ConfigurationError."""
        keep_identifiers_out_of_logs()
        known = self._peer(title)
        try:
            remote.echo(remote.address_of(of_peer(known), self._config.node, seconds=self._patience))
        except SendFailure as failure:
            return Tried(False, str(failure))
        return Tried(True, f"{title} answers C-ECHO: it can be reached, and it knows us.")

    def probe(self, title: str, actor: str) -> Advised:
        """Ask a peer what it takes, and keep the answer. Raises NotFound, ConfigurationError, SendFailure."""
        probed = ask(self._config, self._database, self._peer(title), seconds=self._patience, actor=actor)
        advice = advise(probed)
        contexts = tuple(
            Context(name_of(uid), uid, tuple(name_of(syntax) for syntax in probed.accepted.get(uid, ())))
            for uid in ASKED
        )
        return Advised(probed.at, contexts, in_words(advice.objects).replace(",", ", "), advice.proof, advice.reasons)

    def try_out(self, name: str) -> Tried:
        """Reach a service without sending anything of a patient. Raises NotFound."""
        with self._database.read() as tx:
            to = destinations.find(tx, name)
        if to is None:
            raise NotFound(f"{name!r} is no destination")
        if to.credential and to.credential not in self._config.delivery.credentials:
            return Tried(False, f"delivery.credentials has no {to.credential!r}: nothing can be sent there")
        try:
            return Tried(True, f"{name} {try_out(self._config, to)}")
        except SendFailure as failure:
            return Tried(False, str(failure))

    def credentials(self) -> Sequence[str]:
        """Names of the secrets that a service may use."""
        return sorted(self._config.delivery.credentials)

    def readers(self) -> Sequence[str]:
        """Names of the readers that a rule may choose."""
        return sorted(READERS)

    def of_file(self, content: bytes, rules: Sequence[Standing], calling: str, called: str) -> ShownTrial:
        """Hold the rules against a dropped file. Raises CannotUnderstand."""
        with self._database.read() as tx:
            now = clock(tx)
        reports = self._config.reports
        return _shown(trials.of_content(content, rules, calling=calling, called=called, at=now, reports=reports))

    def of_studies(self, rules: Sequence[Standing], span: str, most: int) -> Sequence[ShownTrial]:
        """Hold them against the newest studies that came lately. Raises ConfigurationError."""
        lasting = trials.span(span)
        with self._database.read() as tx:
            since = clock(tx) - lasting
        found = trials.of_studies(self._config, self._database, rules, since, most=most)
        return [_shown(one) for one in found]

    def backlog_hours(self, at: datetime) -> tuple[str, bool]:
        """The hours of priority backlog, in the site's time, and whether it is one of them."""
        return self._config.node.backlog_hours, is_backlog_time(self._config, at)

    def model(self) -> Model:
        """What the configured model is; nothing is loaded."""
        try:
            document = describe(self._config.reader, self._folder(), None)
        except (ConfigurationError, UsageError) as error:
            return Model((), str(error))
        device = self._config.reader.device
        return Model((*rows_of(document), ("device", device), ("studies at once", str(self._config.reader.slots))))

    def verify_model(self) -> Sequence[Verdict]:
        """Read all of it and compare."""
        return [Verdict(row.subject, row.verdict, row.words) for row in examine(self._folder())]

    def check(self) -> Sequence[Verdict]:
        """What `wetread check` says."""
        return [Verdict(found.subject, found.verdict, found.words) for found in findings(self._config)]

    def quarantine_folder(self) -> Path:
        """Where the bytes of refused objects lie."""
        return self._config.node.quarantine_folder

    def sheet(self, host: str) -> Handout:
        """The sheet for the administrator of the PACS. Raises ConfigurationError."""
        offers = Directory(tuple(services(self._config, self._database))).offers
        with self._database.read() as tx:
            facts = gather(self._config, tx, host=host, offers=offers)
        return sheet(facts, datetime.now(UTC), version=__version__)

    def statement(self) -> Handout:
        """The DICOM conformance statement of this configuration."""
        return statement(self._config, Directory(tuple(services(self._config, self._database))).offers)

    def printed(self, handout: Handout) -> bytes:
        """As a PDF."""
        return handout_pdf(handout, fonts=find_fonts(), created=datetime.now(UTC))

    def _peer(self, title: str) -> RemoteAE:
        with self._database.read() as tx:
            known = peers.find(tx, title)
        if not known.host:
            raise ConfigurationError(f"{title} has no address: give it a host and a port first")
        return known

    def _folder(self) -> Path:
        return self._config.reader.checkpoint or demonstration_checkpoint()


def _shown(one: trials.Trial) -> ShownTrial:
    decision = one.decision
    answers = tuple(Answer(asked.name, asked.matched, asked.answers) for asked in one.asked)
    number = one.subject.removeprefix("#")
    return ShownTrial(
        subject=one.subject,
        study_id=int(number) if one.subject.startswith("#") and number.isdecimal() else None,
        rule=decision.rule,
        then=one.then,
        outcome=f"excluded: {decision.exclude}" if decision.exclude else "read",
        priority="-" if decision.exclude else f"{decision.priority} ({decision.priority_from})",
        reader=decision.reader or "any",
        to=_joined(decision.to) or "all",
        answers=answers,
        remarks=decision.remarks,
        readable=one.readable,
    )


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words)
