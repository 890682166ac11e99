"""The five processes, and `run`, which keeps all of them alive on one machine."""

from __future__ import annotations

import secrets
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent import loop, schema
from agent.cli import Surroundings
from agent.commands.session import config_of, open_database
from agent.config import Config
from agent.loading import loading
from dicom_node.database import Database
from dicom_node.errors import ConfigurationError

if TYPE_CHECKING:
    from dicom_node.services import Service
    from reports.hl7.server import MllpServer


_NO_PORT = 3  # as uvicorn's own command: it has said why
# A page gives the interpreter away at each of some twenty questions to the database, and has it back from a thread that
# computes (documents of a signature) only after so long. With Python's 5 ms a page waited 0.1 s for its turns alone.
_SWITCH_SECONDS = 0.0005


def _begin(surroundings: Surroundings) -> Config:
    from agent import logs

    config = config_of(surroundings)
    logs.set_up(config.log)
    return config


@click.command()
@click.pass_obj
def listen(surroundings: Surroundings) -> None:
    """Receive images: Storage and Verification SCP on node.port; and HL7 over MLLP where hl7.senders are configured.

    Success is answered only after the object and its row are durable. SIGTERM finishes the associations at hand.
    """
    with loading():
        from dicom_node.listener import Listener

    config = _begin(surroundings)
    stop = loop.stop_on_signals()
    with open_database(config) as database:
        heart = loop.Heart("listen", database, stop)
        with heart.starting():
            listener = Listener(config.node, database, services(config, database))
            listener.start()
            messages = _serve_hl7(config, database) if config.hl7.senders else None
        heart.start()
        listener.mind(stop)
        if messages is not None:
            messages.stop()
        listener.stop(tell=heart.say_last)
        heart.say_last("")


def services(config: Config, database: Database) -> list[Service]:
    """What the DICOM port offers beside Verification and Storage: a line each."""
    from dicom_node.commitment_service import Commitment
    from dicom_node.mpps import PerformedSteps
    from dicom_node.rules.tables import Trigger
    from dicom_node.worklist.completions import committed_by

    heard = [committed_by] if "commitment" in config.node.complete_by else []
    counted = [Trigger(word) for word in config.node.complete_by]
    return [Commitment(config.node, database, *heard), PerformedSteps(database, counted)]


def _serve_hl7(config: Config, database: Database) -> MllpServer | None:
    """Loads what only a node with senders of HL7 needs."""
    from agent.desk import Desk
    from agent.incoming import serve_hl7

    try:
        server = serve_hl7(Desk(config, database))
    except OSError as error:
        raise ConfigurationError(
            f"cannot open port {config.hl7.port} on {config.hl7.bind_address} ({error.strerror}): another "
            "program has it, or it needs root; choose another with hl7.port"
        ) from error
    if server is not None:
        server.start()
    return server


@click.command()
@click.pass_obj
def dispatch(surroundings: Surroundings) -> None:
    """Close quiet studies, ring the workers' bell, take back lost work, seal the audit trail, delete old pixels.

    Every night it asks node.reconcile_peers for films that never came.
    """
    with loading():
        from agent import tasks
        from agent.dispatch import Dispatcher
        from agent.reconciling import Reconciler
        from dicom_node.associations import keep_identifiers_out_of_logs

    config = _begin(surroundings)
    keep_identifiers_out_of_logs()
    stop = loop.stop_on_signals()
    with open_database(config) as database:
        pulse = loop.Pulse()
        loop.Heart("dispatch", database, stop, pulse).start()
        app = tasks.make_app(config.broker_url, on_ring=lambda: None)
        nightly = Reconciler(config, database).step
        kwargs = {"idle_seconds": 60}
        threading.Thread(target=loop.run, args=("reconcile", nightly, stop), kwargs=kwargs, daemon=True).start()
        Dispatcher(config, database, app).run(stop, pulse)


@click.command()
@click.option(
    "--debug-images",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each film as PNG into this folder, as it was windowed for the model. Patients' pictures: keep it safe.",
)
@click.pass_obj
def work(surroundings: Surroundings, debug_images: Path | None) -> None:
    """Read films: a Celery worker whose child process holds the model."""
    with loading():
        from agent.work import run as run_worker

    config = _begin(surroundings)
    if debug_images is not None:
        reader = config.reader.model_copy(update={"debug_images": debug_images})
        config = config.model_copy(update={"reader": reader})
    with open_database(config):
        pass  # a wrong database is said here, once, and not by a child that is started again and again
    run_worker(config)


@click.command()
@click.option("--threads", default=4, show_default=True, help="Deliveries under way at once.")
@click.pass_obj
def send(surroundings: Surroundings, threads: int) -> None:
    """Deliver documents: C-STORE to each destination, proof, back-off, dead letters."""
    with loading():
        from agent import client_keys
        from dicom_node.associations import keep_identifiers_out_of_logs
        from dicom_node.sender import MOST_ANSWERS
        from dicom_node.terms import AS_THE_NODE

    config = _begin(surroundings)
    keep_identifiers_out_of_logs()
    client_keys.tell(config)
    stop = loop.stop_on_signals()
    with open_database(config) as database:
        # One attempt at a peer without a patience of its own: where every thread waits longer, nothing is sent, and
        # that is to be seen.
        pulse = loop.Pulse(
            patience_seconds=AS_THE_NODE.seconds_for(MOST_ANSWERS, usual=config.node.dimse_timeout_seconds)
        )
        loop.Heart("send", database, stop, pulse).start()
        _deliver(config, database, stop, threads, pulse)


def _deliver(config: Config, database: Database, stop: threading.Event, threads: int, pulse: loop.Pulse) -> None:
    with loading():
        from agent.bystanders import Bystanders
        from agent.leaving import agrees_with_the_books, another_form
        from agent.transports import open_commitment, open_transports
        from dicom_node.commitment_service import Reporter
        from dicom_node.sender import Sender

    new_token = partial(secrets.token_hex, 16)
    with open_transports(config) as transports, open_commitment(config, database, new_token) as commitment:
        sender = Sender(
            config.node,
            database,
            transports,
            partial(
                agrees_with_the_books,
                patient_systems=config.fhir.patient_systems,
                authorities=config.hl7.authorities,
            ),
            new_token,
            fallback=partial(another_form, store_folder=config.node.store_folder),
            look=Bystanders(config, database),
            commitment=commitment,
        )
        hands = [
            threading.Thread(
                target=loop.run,
                args=("send", sender.deliver_one, stop),
                kwargs={"idle_seconds": 0.5, "pulse": pulse},
                name=f"send-{number}",
            )
            for number in range(threads)
        ]
        report_one = Reporter(config.node, database).report_one
        hands.append(threading.Thread(target=loop.run, args=("send", report_one, stop), kwargs={"idle_seconds": 0.5}))
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()


@click.command()
@click.pass_obj
def web(surroundings: Surroundings) -> None:
    """Serve the pages, /healthz and /metrics on web.port; beyond 127.0.0.1 by TLS, to those who have signed in."""
    with loading():
        from agent.pages import film_room, make_pages
        from agent.serving import make_server

    config = _begin(surroundings)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with open_database(config) as database, closing(film_room(config)) as films:
        server = make_server(make_pages(config, database, films), config.web)
        heart = loop.Heart("web", database, loop.stop_on_signals())
        heart.start()
        threading.Thread(target=films.start, name="films", daemon=True).start()
        try:
            server.run()  # ends the program itself where it cannot have its port
        finally:
            if not server.started and not server.should_exit:
                heart.give_up(_no_port(config))
        if not server.started:
            raise SystemExit(_NO_PORT)


def _no_port(config: Config) -> str:
    return (
        f"cannot serve on port {config.web.port} of {config.web.bind_address}: another program has it, or it needs "
        "root; choose another with web.port; the log of web says more"
    )


@click.command()
@click.pass_obj
def run(surroundings: Surroundings) -> None:
    """Run everything on this machine: Redis where none is configured, and the five processes.

    Brings an existing database to this version first; makes none (wetread db upgrade). A process that ends is started
    again, after up to a minute where its configuration or a taken port is the cause; SIGTERM or Ctrl-C stops all in
    order and says what it waits for, for up to 45 s. The same again ends all at once, which loses nothing.

    One per data folder: a second one is refused with exit code 4, which names the process of the first.
    """
    from agent.supervisor import Supervisor, alone

    config = _begin(surroundings)
    with alone(config.node.data_folder):
        database = Database(config.node.database_url)
        schema.upgrade_existing(database, store=config.node.store_folder)
        database.close()
        at_once = threading.Event()
        Supervisor(config, surroundings.config_file).run(loop.stop_on_signals(at_once), at_once)
