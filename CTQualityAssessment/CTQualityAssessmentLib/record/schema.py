"""Which form the tables of a record have, and bringing them to that of this program."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from CTQualityAssessmentLib.record.errors import RecordOutdatedError, RecordTooNewError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config
    from sqlalchemy import Connection

_MIGRATIONS = Path(__file__).with_name("migrations")
#: Any number, the same for all: who changes tables of a PostgreSQL database holds it, and the others wait.
_LOCK = 4711_2001


def revision_of(connection: Connection) -> str | None:
    """The form of the tables; None in an empty database."""
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """The form that this program works with."""
    return _scripts().get_current_head()


def check_schema(connection: Connection) -> bool:
    """Whether the tables are there, in the form of this program.

    Raises:
        RecordOutdatedError, RecordTooNewError: they have another.
    """
    found = revision_of(connection)
    if found is None:
        if inspect(connection).has_table("results"):  # somebody else's
            raise RecordTooNewError
        return False
    if found == newest_revision():
        return True
    known = {script.revision for script in _scripts().walk_revisions()}
    raise RecordOutdatedError if found in known else RecordTooNewError


def upgrade_schema(connection: Connection) -> str | None:
    """Bring the tables to the form of this program, in the transaction of the connection: wholly or not at all.

    Returns:
        The form before, None where there were none.

    Raises:
        RecordTooNewError: they have a form that this program does not know.
    """
    from alembic import command

    with _alone(connection):
        try:
            check_schema(connection)
        except RecordOutdatedError:
            pass
        before = revision_of(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """SQLite locks the file when a transaction of ours begins; PostgreSQL is asked for a lock until it ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    yield


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts():  # noqa: ANN202  (a type of alembic)
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())
