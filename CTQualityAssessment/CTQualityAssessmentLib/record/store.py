"""Rows of the record: put in, each once, and read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, func, select
from sqlalchemy.exc import SQLAlchemyError

from CTQualityAssessmentLib.record.address import connection_arguments
from CTQualityAssessmentLib.record.errors import NoRecordError, OtherKeyError, RecordLostError
from CTQualityAssessmentLib.record.schema import check_schema, newest_revision, upgrade_schema
from CTQualityAssessmentLib.record.tables import COLUMNS, KEY, pseudonyms, results

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

#: Rows that are written or read at a time.
_MANY = 500
#: Option of a connection: whether it will write. SQLite then takes its lock at the start, and nobody has to step back.
_WRITES = "ctqa_writes"


@dataclass(frozen=True)
class Result:
    """What is known of one series.

    Attributes:
        series_key: its pseudonym.
        model_sha256: of the weights.
        settings_sha256: see :meth:`CTQualityAssessmentLib.batch.records.Settings.scoring`.
        state, reason: as of :class:`CTQualityAssessmentLib.batch.records.StudyRecord`.
        figures: by the names of :data:`CTQualityAssessmentLib.batch.table.VALUES`.
    """

    series_key: str
    model_sha256: str
    settings_sha256: str
    state: str
    reason: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 of what was found."""
        parts = json.dumps([self.state, self.reason, self.figures], sort_keys=True)
        return hashlib.sha256(parts.encode()).hexdigest()


class Record:
    """An open record. All methods raise :class:`~.errors.RecordLostError` where the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, found: Sequence[Result]) -> None:
        """Enter results, all or none. What is there already, and the same, is not touched.

        A series whose images changed, or that failed before, has its row replaced.
        """
        rows = {tuple(getattr(one, name) for name in KEY): _row(one) for one in found}
        with self._transaction(writes=True) as connection:
            new = _insert_of(connection)(results)
            fresh = {column.name: new.excluded[column.name] for column in results.c if column.name not in (*KEY, "id")}
            other = results.c.digest != new.excluded.digest
            statement = new.on_conflict_do_update(index_elements=list(KEY), set_=fresh, where=other)
            for chunk in _chunks(list(rows.values())):
                connection.execute(statement, chunk)

    def digests(self, model_sha256: str, settings_sha256: str) -> dict[str, str]:
        """Digest by pseudonym, of all series that were done with these weights and settings."""
        wanted = select(results.c.series_key, results.c.digest).where(
            results.c.model_sha256 == model_sha256, results.c.settings_sha256 == settings_sha256
        )
        with self._transaction() as connection:
            return {key: digest for key, digest in connection.execute(wanted)}

    def results(self, model_sha256: str | None = None) -> Iterator[Result]:
        """All results, or those of some weights, in the order in which they were first entered."""
        wanted = select(*(results.c[name] for name in (*KEY, "state", "reason", "figures"))).order_by(results.c.id)
        if model_sha256:
            wanted = wanted.where(results.c.model_sha256 == model_sha256)
        with self._transaction() as connection:
            for row in connection.execution_options(yield_per=_MANY).execute(wanted):
                yield Result(*row)

    def newest_model(self) -> str | None:
        """SHA-256 of the weights of the last result that was entered."""
        wanted = select(results.c.model_sha256).order_by(results.c.recorded_at.desc(), results.c.id.desc()).limit(1)
        with self._transaction() as connection:
            return connection.execute(wanted).scalar()

    def count(self) -> int:
        """Number of rows."""
        with self._transaction() as connection:
            return connection.execute(select(func.count()).select_from(results)).scalar_one()

    def check_key(self, key_check: str) -> None:
        """Make sure that pseudonyms of one key only come into the record.

        Args:
            key_check: what the key makes of a word that is always the same.

        Raises:
            OtherKeyError: the record was begun with another key.
        """
        with self._transaction(writes=True) as connection:
            insert = _insert_of(connection)
            connection.execute(insert(pseudonyms).values(id=1, key_check=key_check).on_conflict_do_nothing())
            if connection.execute(select(pseudonyms.c.key_check)).scalar_one() != key_check:
                raise OtherKeyError

    @contextmanager
    def _transaction(self, writes: bool = False) -> Iterator[Connection]:
        with told(), (_writing(self._engine) if writes else self._engine).begin() as connection:
            yield connection


@contextmanager
def open_record(url: URL, create: bool = True) -> Iterator[Record]:
    """Open a record; an empty database gets its tables.

    Args:
        url: as :func:`~.address.record_url` gives it.
        create: whether to make one where there is none.

    Raises:
        RecordLostError: it does not answer, or cannot be written.
        RecordOutdatedError, RecordTooNewError: its tables have another form.
        NoRecordError: there is none, and none is to be made.
    """
    with _engine_of(url, create) as engine:
        with told(), (_writing(engine) if create else engine).begin() as connection:
            there = check_schema(connection)
            if not there and not create:
                raise NoRecordError
            if not there:
                upgrade_schema(connection)
        yield Record(engine)


def upgrade_record(url: URL) -> tuple[str | None, str]:
    """Bring the tables of a record to the form of this program; the form before, and that of now.

    Raises:
        NoRecordError, RecordLostError, RecordTooNewError: as :func:`open_record`.
    """
    with _engine_of(url, create=False) as engine, told(), _writing(engine).begin() as connection:
        return upgrade_schema(connection), newest_revision()


@contextmanager
def told() -> Iterator[None]:
    """Errors of the database in our own words: theirs quote addresses, users and values."""
    try:
        yield
    except SQLAlchemyError:
        raise RecordLostError from None


@contextmanager
def _engine_of(url: URL, create: bool) -> Iterator[Engine]:
    from pathlib import Path

    if url.get_backend_name() == "sqlite" and not create and not Path(url.database or "").is_file():
        raise NoRecordError
    engine = create_engine(url, connect_args=connection_arguments(url), hide_parameters=True, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _by_ourselves)
        event.listen(engine, "begin", _begin)
    try:
        yield engine
    finally:
        engine.dispose()


def _by_ourselves(connection: Any, _: Any) -> None:
    # Python's driver begins no transaction before tables change; SQLite itself can undo that too.
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")


def _writing(engine: Engine) -> Engine:
    return engine.execution_options(**{_WRITES: True})


def _insert_of(connection: Connection) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert


def _row(one: Result) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in (*KEY, "state", "reason", "figures")},
        **{name: one.figures.get(name) for name in COLUMNS},
        "digest": one.digest(),
        "recorded_at": datetime.now(timezone.utc),
    }


def _chunks(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    return (rows[start : start + _MANY] for start in range(0, len(rows), _MANY))
