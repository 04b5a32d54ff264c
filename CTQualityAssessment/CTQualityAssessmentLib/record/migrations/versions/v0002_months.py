"""An index of months: the page of trends asks for them first."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this form of the tables."""
    op.create_index("results_by_month", "results", ["month"])


def downgrade() -> None:
    """Back to the form before."""
    op.drop_index("results_by_month", "results")
