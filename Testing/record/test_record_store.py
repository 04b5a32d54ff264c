"""One row for each series, whatever is entered how often, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import FAILED, SCORED, SKIPPED, Settings, StudyRecord
from CTQualityAssessmentLib.record.address import connection_arguments, record_url
from CTQualityAssessmentLib.record.errors import (
    NoRecordError,
    OtherKeyError,
    RecordAddressError,
    RecordLostError,
    RecordOutdatedError,
    RecordTooNewError,
)
from CTQualityAssessmentLib.record.export import write_parquet
from CTQualityAssessmentLib.record.filing import Filing
from CTQualityAssessmentLib.record.schema import _config, revision_of
from CTQualityAssessmentLib.record.store import Result, open_record, upgrade_record
from CTQualityAssessmentLib.record.tables import metadata
from pyarrow import parquet
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

pytestmark = pytest.mark.xdist_group("record")
SETTINGS = Settings("model", "a" * 64)


def result(n: int = 1, **figures) -> Result:
    figures = {"mean": 2.5, "slices": 9, "kernel": "B30f", "month": "2026-03", "contrast": True, **figures}
    return Result(f"{n:016x}", "a" * 64, SETTINGS.scoring(), SCORED, None, figures)


def rows(place: str) -> list[tuple]:
    """Every row with all that stands in it, past our own code."""
    engine = create_engine(record_url(place))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text("SELECT * FROM results ORDER BY id"))]
    engine.dispose()
    return found


def test_a_result_that_comes_again_changes_nothing(place):
    """A night that is run twice would count every patient twice, and each trend with them."""
    with open_record(record_url(place)) as record:
        record.put([result(n) for n in range(600)])
        before = rows(place)
        assert len(before) == 600
        record.put([result(n) for n in range(600)])
        assert rows(place) == before
        # More images of one series arrived: its row is replaced, and no other.
        record.put([result(3, mean=1.5), result(4)])
        assert [row for row in rows(place) if row not in before] == [rows(place)[3]]
        record.put([replace(result(3), model_sha256="b" * 64)])
        assert record.count() == 601
        assert record.digests("a" * 64, SETTINGS.scoring())[f"{4:016x}"] == result(4).digest()
        assert [one.figures["mean"] for one in record.results("a" * 64)][:5] == [2.5, 2.5, 2.5, 1.5, 2.5]


def test_the_database_itself_refuses_a_second_row(place):
    """Two computers that enter the same series at once are held apart by the database, not by our care."""
    with open_record(record_url(place)) as record:
        record.put([result()])
    engine = create_engine(record_url(place))
    with engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO results SELECT 99, " + _but_id() + " FROM results"))
    engine.dispose()


def _but_id() -> str:
    return ", ".join(column.name for column in metadata.tables["results"].columns if column.name != "id")


def test_computers_that_enter_the_same_at_once_make_one_row_each(place):
    """A department's workplaces start at the same hour, on a record that none of them has made yet."""
    faults = []

    def enter():
        try:
            with open_record(record_url(place)) as record:
                for n in range(20):
                    record.put([result(n), result(n + 1)])
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not faults and len(rows(place)) == 21


def test_migrations_make_the_tables_of_the_program(place):
    """A column that the program knows and the migration forgot ends the first night in an error."""
    with open_record(record_url(place)):
        pass
    engine = create_engine(record_url(place))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_an_older_record_is_kept_and_brought_up_to_date(place):
    """Years of results must survive a new version of the program, and nothing be written into tables it misreads."""
    from alembic import command

    url = record_url(place)
    engine = create_engine(url)
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with engine.begin() as connection:
        columns = "id, series_key, model_sha256, settings_sha256, digest, state, figures, recorded_at"
        connection.execute(
            text(f"INSERT INTO results ({columns}) VALUES (7, 'k', 'm', 's', 'd', 'scored', '{{}}', '2026-01-01')")
        )
    with pytest.raises(RecordOutdatedError, match="ctqa record upgrade"), open_record(url):
        pass
    assert upgrade_record(url) == ("0001", "0002") and upgrade_record(url) == ("0002", "0002")
    with open_record(url) as record:
        record.put([result()])
        assert record.count() == 2
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RecordTooNewError), open_record(url):
        pass
    with pytest.raises(RecordTooNewError):
        upgrade_record(url)
    engine.dispose()


def test_an_upgrade_that_breaks_leaves_the_tables_as_they_were(place, monkeypatch):
    """A full disk in the middle must not leave tables that are neither old nor new."""
    from alembic import op

    def break_off(*_):
        raise OSError("no space left")

    monkeypatch.setattr(op, "create_index", break_off)
    with pytest.raises(OSError), open_record(record_url(place)):
        pass
    monkeypatch.undo()
    engine = create_engine(record_url(place))
    with engine.connect() as connection:
        assert revision_of(connection) is None and not engine.dialect.has_table(connection, "results")
    engine.dispose()
    with open_record(record_url(place)) as record:
        record.put([result()])
        assert record.count() == 1


def test_a_run_enters_what_an_earlier_one_could_not(place, tmp_path):
    """A client that is killed between a result and its row, or a database that was away, must cost no row."""
    folder = BatchFolder(tmp_path / "out")
    with folder.opened() as run, open_record(record_url(place)) as record:
        done = [StudyRecord(f"{n:016x}", "f", run, SCORED, None, {"mean": 1.0 + n}) for n in range(3)]
        skipped = StudyRecord("s" * 16, "f", run, SKIPPED, "This program made the series.")
        filing = Filing(record, folder, SETTINGS)
        filing.enter(done[0])
        filing.settle([*done, skipped])
        assert record.count() == 3
        before = rows(place)
        unsent = replace(done[0], reason="Not sent back yet: The archive does not answer.", run="another", seconds=9.0)
        filing.settle([unsent, *done])
        assert rows(place) == before
        failed = StudyRecord(f"{1:016x}", "f", run, FAILED, "Damaged.")
        Filing(record, folder, SETTINGS).settle([failed])
        assert record.count() == 3 and rows(place)[1][5:7] == (FAILED, "Damaged.")


def test_pseudonyms_of_another_key_are_refused(place, tmp_path, monkeypatch):
    """Two folders with keys of their own would enter the same series under two names."""
    first, second = BatchFolder(tmp_path / "a"), BatchFolder(tmp_path / "b")
    with open_record(record_url(place)) as record, first.opened(), second.opened():
        Filing(record, first, SETTINGS)
        with pytest.raises(OtherKeyError):
            Filing(record, second, SETTINGS)
        monkeypatch.setenv("CTQA_KEY_FILE", str(first.path / ".ctqa-batch" / "key"))
        third = BatchFolder(tmp_path / "c")
        with third.opened():
            Filing(record, third, SETTINGS)
            assert third.name_of(b"1.2.3") == first.name_of(b"1.2.3")


def test_a_table_for_others_has_every_figure_in_its_place(place, tmp_path):
    """What statisticians of the department load must be what was recorded, with empty for what is not known."""
    with open_record(record_url(place)) as record:
        record.put(
            [result(1, ctdivol_mgy=7), result(2, ctdivol_mgy=7.5, kernel="Br40"), replace(result(3), state=FAILED)]
        )
        assert write_parquet(tmp_path / "t.parquet", record.results()) == 3
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table["ctdivol_mgy"].to_pylist() == [7.0, 7.5, None]
    assert table["kernel"].to_pylist()[1] == "Br40" and table["state"].to_pylist() == [SCORED, SCORED, FAILED]
    assert table["noise_hu"].to_pylist() == [None] * 3 and table["contrast"].to_pylist() == [True] * 3
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".ctqa")] == []


def test_a_password_does_not_stand_in_an_argument_or_an_error(tmp_path, monkeypatch):
    """The list of processes, and mails with error messages, are read by others."""
    with pytest.raises(RecordAddressError) as told:
        record_url("postgresql://me:secret-4711@db.example.org/ctqa")
    assert "secret-4711" not in str(told.value)
    for wrong in ("mysql://db/ctqa", "postgresql://db", "postgresql://db:port/x", "://"):
        with pytest.raises(RecordAddressError):
            record_url(wrong)
    with pytest.raises(RecordAddressError, match="No record is named"):
        record_url(None)
    monkeypatch.setenv("CTQA_RECORD", f"postgresql://me:secret-4711@/x?host={tmp_path}/nowhere")
    with pytest.raises(RecordLostError) as told, open_record(record_url(None)):
        pass
    assert "secret-4711" not in str(told.value) and str(tmp_path) not in str(told.value)
    with pytest.raises(NoRecordError), open_record(record_url(str(tmp_path / "none.sqlite")), create=False):
        pass
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "garbage.sqlite").write_bytes(b"no database" * 999)
    with pytest.raises(RecordLostError), open_record(record_url(str(tmp_path / "garbage.sqlite"))):
        pass


def test_a_database_elsewhere_has_to_prove_who_it_is(monkeypatch):
    """Whoever sits between could read the department's figures and the password."""
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.delenv("PGHOST", raising=False)
    assert connection_arguments(record_url("postgresql://db.example.org/x"))["sslmode"] == "verify-full"
    for ours in ("postgresql:///x", "postgresql://127.0.0.1/x", "postgresql:///x?host=/run/postgresql"):
        assert "sslmode" not in connection_arguments(record_url(ours))
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert connection_arguments(record_url("postgresql:///x"))["sslmode"] == "verify-full"
