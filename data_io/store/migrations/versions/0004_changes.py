"""A number for the newest change of every image, so that a reader loads what is new alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Table -> its column of the image and what can happen to its rows (revisions are append-only).
_WATCHED = {
    "images": ("id", ("INSERT", "UPDATE")),
    "revisions": ("image", ("INSERT",)),
    "proposals": ("image", ("INSERT", "UPDATE", "DELETE")),
    "regions": ("image", ("INSERT", "UPDATE", "DELETE")),
}


def upgrade() -> None:
    """Triggers: whoever writes, and however, is noticed in the same transaction.

    A migration that rebuilds one of these tables drops its triggers and has to make them again.
    """
    op.create_table(
        "changes",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("image", sa.String(), nullable=False, unique=True),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO changes (image) SELECT id FROM images ORDER BY coco_id")
    for table, (column, actions) in _WATCHED.items():
        for action in actions:
            row = "OLD" if action == "DELETE" else "NEW"
            image = f"{row}.{column}"
            op.execute(
                f"CREATE TRIGGER {table}_changed_{action.lower()} AFTER {action} ON {table} BEGIN"
                f" DELETE FROM changes WHERE image = {image};"
                f" INSERT INTO changes (image) VALUES ({image}); END"
            )
