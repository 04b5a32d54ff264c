"""Run by alembic: the migrations on the connection that :mod:`CTQualityAssessmentLib.record.schema` opened."""

from __future__ import annotations

from alembic import context

from CTQualityAssessmentLib.record.tables import metadata

connection = context.config.attributes["connection"]
# SQLite can undo changes of tables too; alembic does not expect it to.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
