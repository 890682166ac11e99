"""The one Alembic environment: the tables of all rooms."""
