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


@record_app.command(epilog=_EPILOG)
def trends(
    page: Annotated[Path, typer.Argument(metavar="FILE", help="The page to be written, such as trends.html.")],
    record: Place = None,
    reports: Annotated[
        list[Path], typer.Option(metavar="DIR", help="Output folder with the reports to link to; may be repeated.")
    ] = [],  # noqa: B006  (typer copies it)
    model: Annotated[
        str | None, typer.Option(help="Name or folder of the model; else that of the newest result.")
    ] = None,
) -> None:
    """Write the page of trends: quality against dose by scanner, protocol, kernel and month, with drift alerts."""
    with plain_errors():
        from CTQualityAssessmentLib.batch.output import write_whole
        from CTQualityAssessmentLib.record.address import record_url
        from CTQualityAssessmentLib.record.errors import EmptyRecordError
        from CTQualityAssessmentLib.record.store import open_record
        from CTQualityAssessmentLib.record.trend_page import find_trends, report_links, trend_page

        with open_record(record_url(record), create=False) as opened:
            sha256 = _sha256_of(model) if model else opened.newest_model()
            if sha256 is None:
                raise EmptyRecordError
            found = find_trends(opened.results(sha256), report_links(page, reports))
        write_whole(page, trend_page(found, sha256, _statement_of(sha256)))
        for alert in found.alerts:
            console.print(f"{alert.month.month}: {alert.kind.lower()} {alert.group}: score {alert.month.change:+.2f}")
        console.print(f"{len(found.studies)} series, {len(found.alerts)} drift alert(s). Open the page in a browser.")


def _sha256_of(model: str) -> str:
    from CTQualityAssessmentLib.models import find_bundle

    return find_bundle(model).sha256


def _statement_of(sha256: str) -> str | None:
    """What the model says of its labels, where it is installed here."""
    from CTQualityAssessmentLib.errors import CTQAError
    from CTQualityAssessmentLib.models import installed_bundles, read_bundle

    for folder in installed_bundles().values():
        try:
            bundle = read_bundle(folder)
        except CTQAError:
            continue
        if bundle.sha256 == sha256:
            return bundle.statement
    return None
