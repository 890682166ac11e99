"""The web process: the pages of `reports` with this installation's configuration, readiness and metrics."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette

from agent import __version__, schema
from agent.asking import WhoseStudy
from agent.caretaker import Caretaker
from agent.certificates import days_left
from agent.config import Config, WebConfig
from agent.desk import Desk
from agent.drafting import workshop_of
from agent.metrics import Exposition
from agent.readers.guards import unsupported_claims
from agent.routing import backlog_hours
from agent.viewing import FilmRoom
from dicom_node import mark
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from dicom_node.errors import StoreAway
from dicom_node.files import free_mebibytes, is_read_only
from reports.people.passwords import Hasher
from reports.people.provider import Provider
from reports.people.service import People
from reports.people.sessions import Limits
from reports.signoff.service import SignOff
from reports.viewer_link import ViewerLink
from reports.web.access import Access
from reports.web.app import make_app
from reports.web.entrance import Entrance
from reports.web.site import Equipment, Premises


def make_pages(config: Config, database: Database, films: FilmRoom | None = None) -> Starlette:
    """The app that uvicorn serves. films: None: a room of its own."""
    premises = Premises(
        ae_title=config.node.ae_title,
        port=config.node.tls_port if config.node.tls_only else config.node.port,
        store_folder=config.node.store_folder,
        version=__version__,
        demonstration=config.reader.checkpoint is None,
        strangers_may_verify=config.node.strangers_may_verify,
        access=access(config.web),
        reading=config.reports,
        backlog_hours=backlog_hours(config),
    )
    people = People(database, Hasher(), limits(config.web))
    exposition = Exposition(
        database,
        config.node.data_folder,
        version=__version__,
        monotonic=time.monotonic,
        certificates=partial(days_left, config),
        watches=config.fhir.watch,
    )
    return make_app(
        premises,
        database,
        not_ready=partial(not_ready, config.node, database),
        metrics=exposition.text,
        equipment=Equipment(
            porter=Entrance(people, secure=premises.secure),
            people=people,
            oidc=Provider(config.oidc) if config.oidc.issuer else None,
            caretaker=Caretaker(config, database),
            films=films or film_room(config),
            viewer_link=ViewerLink(config.web.viewer_link) if config.web.viewer_link else None,
            signoff=SignOff(database, config.node.store_folder, workshop_of(Desk(config, database))),
            whose_study=WhoseStudy(config, database),
            claims=unsupported_claims,
        ),
    )


def film_room(config: Config) -> FilmRoom:
    """Decodes films for the pages as it is done for the reader, in processes of its own."""
    reader = config.reader
    return FilmRoom(config.node.store_folder, seconds=reader.decode_seconds, mebibytes=reader.decode_mebibytes)


def limits(web: WebConfig) -> Limits:
    """How long a session lasts."""
    return Limits(idle=timedelta(minutes=web.idle_minutes), lasts=timedelta(hours=web.session_hours))


def access(web: WebConfig) -> Access:
    """By which names the pages are called, and through whom."""
    return Access(
        hosts=frozenset(web.hosts),
        is_loopback=web.is_loopback,
        has_certificate=web.tls_certificate is not None,
        proxies=web.proxy,
        framers=web.frame_origins,
    )


def not_ready(node: NodeConfig, database: Database) -> list[str]:
    """Why this installation cannot do its work, a sentence each; empty where it can."""
    trouble = _database_trouble(database)
    return [*trouble, *_disk_trouble(node), *([] if trouble else _store_trouble(node, database))]


def _database_trouble(database: Database) -> list[str]:
    """As `schema.check`, but as a reader: a probe must not wait behind writers, nor make them wait."""
    try:
        with database.read() as tx:
            found = tx.scalar(text("SELECT version_num FROM alembic_version"))
    except SQLAlchemyError as error:
        kind = type(error).__name__
        return [f"The database does not answer, or has no tables ({kind}); for a new node: wetread db upgrade."]
    if found != schema.VERSION:
        return [f"The database has version {found}, this program needs {schema.VERSION}: run wetread db upgrade."]
    return []


def _store_trouble(node: NodeConfig, database: Database) -> list[str]:
    try:
        with database.read() as tx:
            mark.require(tx, node.store_folder)
    except StoreAway as away:
        return [f"The store is away, so nothing is received, read or sent: {away}."]
    except SQLAlchemyError as error:
        return [f"The database does not answer any more ({type(error).__name__})."]
    except OSError as error:
        return [f"The folder {node.store_folder} cannot be reached ({error.strerror})."]
    return []


def _disk_trouble(node: NodeConfig) -> list[str]:
    try:
        free = free_mebibytes(node.data_folder)
        if is_read_only(node.data_folder):
            return [f"The folder {node.data_folder} is on a disk that is mounted read-only: nothing can be received."]
    except OSError as error:
        return [f"The folder {node.data_folder} cannot be reached ({error.strerror}): see node.data_folder."]
    if free >= node.reserve_mebibytes:
        return []
    return [
        f"{free} MiB are free in {node.data_folder}, the reserve is {node.reserve_mebibytes} MiB: images are refused "
        "until there is space; free some, or lower node.keep_days or node.reserve_mebibytes."
    ]
