"""The record as a table of Parquet, for R, pandas, DuckDB and spreadsheets of the department."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from CTQualityAssessmentLib.batch.table import VALUES
from CTQualityAssessmentLib.record.store import Result
from CTQualityAssessmentLib.reporting.folder import OutputFolderError

_TEXTS = (
    "grade modality manufacturer scanner_model body_part kernel reconstruction described_organ month scanner_unit "
    "model model_version program_version device warnings"
).split()
_COUNTS = ("slices", "scored", "refused")
_ROWS = 5000


def _type_of(name: str) -> pa.DataType:
    if name in _TEXTS:
        return pa.string()
    if name in _COUNTS:
        return pa.int32()
    return pa.bool_() if name == "contrast" else pa.float64()


#: Scores 0 to 4; units are in the names. What is not known is null.
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("series_key", "model_sha256", "settings_sha256", "state", "reason")]
    + [(name, _type_of(name)) for name in VALUES]
)


def write_parquet(path: Path, results: Iterable[Result]) -> int:
    """Write all results, a few thousand in memory at a time, and return how many; the file appears whole or not at all.

    Raises:
        OutputFolderError: it cannot be written.
    """
    unfinished = path.with_name(f".ctqa-{path.name}")
    count, left = 0, iter(results)
    try:
        with parquet.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
            while rows := [_row(one) for one in islice(left, _ROWS)]:
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                count += len(rows)
        unfinished.replace(path)
    except OSError as error:
        raise OutputFolderError(
            f"The table cannot be written ({error.strerror or type(error).__name__}).",
            "Name a file in a folder that you may write to.",
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return count


def _row(one: Result) -> dict[str, object]:
    told = {name: getattr(one, name) for name in ("series_key", "model_sha256", "settings_sha256", "state", "reason")}
    return {**told, **{name: one.figures.get(name) for name in VALUES}}
