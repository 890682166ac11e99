"""The migrations make the very tables that the program's models describe."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import agent.schema
import reports.tables  # noqa: F401  its tables belong to the same metadata
from agent import schema
from dicom_node.database import Database
from dicom_node.tables import Base

MIGRATIONS = Path(agent.schema.__file__).parent / "migrations"


def test_migrations_and_models_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})

        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_migration_is_one_and_is_the_version_of_the_program() -> None:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))

    assert ScriptDirectory.from_config(config).get_heads() == [schema.VERSION]
