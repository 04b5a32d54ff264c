"""The tables of the record, as the newest migration leaves them (a test compares the two)."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

#: What a series is told from another by; everything else in a row is about it.
KEY = ("series_key", "model_sha256", "settings_sha256")

#: One row for each series, weights and settings. ``digest`` is of everything that was found, so that the same result
#: changes nothing; ``figures`` has all figures of :mod:`CTQualityAssessmentLib.batch.table`, those with a column of
#: their own included: scores 0 to 4, mGy, HU.
results = Table(
    "results",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("series_key", String(16), nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("settings_sha256", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("month", String(7)),
    Column("manufacturer", String(64)),
    Column("scanner_model", String(64)),
    Column("scanner_unit", String(6)),
    Column("body_part", String(64)),
    Column("kvp", Float),
    Column("slice_thickness_mm", Float),
    Column("contrast", Boolean),
    Column("kernel", String(64)),
    Column("mean", Float),
    Column("ctdivol_mgy", Float),
    Column("noise_hu", Float),
    Column("figures", JSON, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint(*KEY, name="one_row_each"),
    Index("results_by_month", "month"),
)

#: One row: the pseudonym that the key of the pseudonyms gives to a word of ours.
pseudonyms = Table(
    "pseudonyms",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key_check", String(16), nullable=False),
)

#: Figures with a column of their own.
COLUMNS = (
    "month",
    "manufacturer",
    "scanner_model",
    "scanner_unit",
    "body_part",
    "kvp",
    "slice_thickness_mm",
    "contrast",
    "kernel",
    "mean",
    "ctdivol_mgy",
    "noise_hu",
)
