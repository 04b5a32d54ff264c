"""Results of series, and which key their pseudonyms were made with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this form of the tables."""
    op.create_table(
        "results",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("series_key", sa.String(16), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("settings_sha256", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("month", sa.String(7)),
        sa.Column("manufacturer", sa.String(64)),
        sa.Column("scanner_model", sa.String(64)),
        sa.Column("scanner_unit", sa.String(6)),
        sa.Column("body_part", sa.String(64)),
        sa.Column("kvp", sa.Float),
        sa.Column("slice_thickness_mm", sa.Float),
        sa.Column("contrast", sa.Boolean),
        sa.Column("kernel", sa.String(64)),
        sa.Column("mean", sa.Float),
        sa.Column("ctdivol_mgy", sa.Float),
        sa.Column("noise_hu", sa.Float),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("series_key", "model_sha256", "settings_sha256", name="one_row_each"),
    )
    op.create_table(
        "pseudonyms",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key_check", sa.String(16), nullable=False),
    )


def downgrade() -> None:
    """Back to the form before."""
    op.drop_table("pseudonyms")
    op.drop_table("results")
