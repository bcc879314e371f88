"""Keys of COCO categories and images that Herdmark has no use for, kept for the way out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column of JSON text for each; NULL = no such key."""
    for table in ("categories", "images"):
        op.add_column(table, sa.Column("extras", sa.String(), nullable=True))
