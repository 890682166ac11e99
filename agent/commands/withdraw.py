"""`wetread report withdraw`: a person takes a report back, signed or not, wherever it is."""

from __future__ import annotations

import click

from agent.cli import Surroundings
from agent.commands.session import config_of, open_database, person


@click.command()
@click.argument("key", metavar="'#NUMBER'|UID|ACCESSION")
@click.option("--reason", required=True, help="A sentence that goes to whoever has the report; no patient data.")
@click.option("--safety", is_flag=True, help="For the patient's safety, such as another patient's film.")
@click.pass_obj
def withdraw(surroundings: Surroundings, key: str, reason: str, safety: bool) -> None:
    """Take the report of a study back: nothing of it leaves any more, and whoever has it is told.

    A PACS gets a rejection note, an HL7 or FHIR system a message. What is signed is withdrawn as well.
    """
    from dicom_node import worklist
    from dicom_node.database import clock
    from dicom_node.errors import NotFound, WrongState
    from reports import drafts, life
    from reports.signoff import endings
    from reports.tables import Event
    from reports.text import clean

    words = clean(reason)
    if not any(character.isalnum() for character in words):
        raise click.UsageError("--reason needs a sentence")
    event = Event.WITHDRAWN_FOR_SAFETY if safety else Event.WITHDRAWN
    with open_database(config_of(surroundings)) as database, database.write() as tx:
        study = life.lock(tx, worklist.find_study_to_change(tx, key).id)
        reports = drafts.of_study(tx, study.id)
        if not reports:
            raise NotFound(f"study #{study.id} has no report; wetread study show '#{study.id}' says why")
        now = clock(tx)
        ended = life.end_all(tx, study.id, event, now, actor=person(), explanation=words)
        for report in ended:
            endings.take_back(tx, report.id, now)
        if not ended:
            raise WrongState(
                f"the report of study #{study.id} is {reports[0].state} already: nothing is left to withdraw"
            )
        number, uid, accession = study.id, study.study_instance_uid, study.accession_number or "none"
    click.echo(
        f"study #{number} (accession number {accession}, Study Instance UID {uid}): report withdrawn; "
        "dispatch tells whoever has it"
    )
