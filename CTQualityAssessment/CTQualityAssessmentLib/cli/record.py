"""``ctqa record``: the results of all runs in one database; its form, its table, its page of trends."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from CTQualityAssessmentLib.cli.application import app
from CTQualityAssessmentLib.cli.terminal import console, plain_errors

_EPILOG = "Exit codes: 0 done; 1 error; 2 wrong usage; 3 there is no record, or nothing in it."

record_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(record_app, name="record", help="The results of all runs in one database, and their trends.")

Place = Annotated[
    str | None,
    typer.Option(
        "--record", metavar="URL", help="A file of SQLite or postgresql://HOST/DATABASE; else CTQA_RECORD names it."
    ),
]


@record_app.command(epilog=_EPILOG)
def upgrade(record: Place = None) -> None:
    """Bring the tables of a record to the form of this program, wholly or not at all. Make a copy before."""
    with plain_errors():
        from CTQualityAssessmentLib.record.address import record_url
        from CTQualityAssessmentLib.record.store import upgrade_record

        before, now = upgrade_record(record_url(record))
        console.print(f"The record has form {now} already." if before == now else f"The record has form {now} now.")


@record_app.command(epilog=_EPILOG)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The table to be written, such as record.parquet.")],
    record: Place = None,
) -> None:
    """Write the whole record as a table of Parquet: one row for each series and weights, with all figures."""
    with plain_errors():
        from CTQualityAssessmentLib.record.address import record_url
        from CTQualityAssessmentLib.record.export import write_parquet
        from CTQualityAssessmentLib.record.store import open_record

        with open_record(record_url(record), create=False) as opened:
            count = write_parquet(file, opened.results())
        console.print(f"{count} row(s) written.")
