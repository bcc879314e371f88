"""What kind of picture an image is, and how many places a random check stands for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Small columns before the vector; the queue hears of embeddings as of any other change."""
    op.create_table(
        "embeddings",
        sa.Column("image", sa.String(), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("cluster", sa.Integer()),
        sa.Column("foreground", sa.Float()),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "clusters",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("center", sa.LargeBinary(), nullable=False),
    )
    op.add_column("regions", sa.Column("weight", sa.Float()))
    for action in ("INSERT", "UPDATE", "DELETE"):
        image = f"{'OLD' if action == 'DELETE' else 'NEW'}.image"
        op.execute(
            f"CREATE TRIGGER embeddings_changed_{action.lower()} AFTER {action} ON embeddings BEGIN"
            f" DELETE FROM changes WHERE image = {image};"
            f" INSERT INTO changes (image) VALUES ({image}); END"
        )
