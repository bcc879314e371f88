"""What every answer of a person cost and bought; of earlier answers nobody knows it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COUNTS = (
    "kept",
    "changed",
    "added",
    "deleted",
    "pixels_both",
    "pixels_either",
    "pixels_wrong",
    "pixels_caught",
    "audits",
    "audits_wrong",
)


def upgrade() -> None:
    """One table beside the revisions, empty at first."""
    op.create_table(
        "readings",
        sa.Column("image", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("region", sa.String()),
        sa.Column("seconds", sa.Float()),
        sa.Column("version", sa.String()),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTS),
        sa.Column("bins", sa.String(), nullable=False),
        sa.Column("taken_back", sa.Integer()),
        sa.PrimaryKeyConstraint("image", "number"),
        sa.ForeignKeyConstraint(["image", "number"], ["revisions.image", "revisions.number"]),
    )
