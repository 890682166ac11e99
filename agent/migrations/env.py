"""Run by Alembic: applies the versions to the connection that `agent.schema` hands over."""

from alembic import context

import dicom_node.access_tables
import dicom_node.commitment_tables
import dicom_node.film_tables
import dicom_node.known_tables
import dicom_node.rules.tables  # noqa: F401
import reports.glance
import reports.people.tables
import reports.questions
import reports.saved_views
import reports.signoff.tables
import reports.tables
import reports.watches  # noqa: F401
from dicom_node.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
