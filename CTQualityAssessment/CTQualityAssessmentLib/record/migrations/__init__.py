"""Scripts of alembic, one for each change of the tables."""
