"""What the gallery filters and sorts 100,000 images by, without opening any geometry."""

from __future__ import annotations

import json
import zlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ROWS = 2000  # a project's geometry may be larger than the memory


def upgrade() -> None:
    """Indexes that cover the gallery's queries, and the categories of every image."""
    op.create_index("ix_images_group", "images", ["group", "path"])
    columns = ["image", "number", "verified_state", "instance_count"]
    op.create_index("ix_revisions_state", "revisions", columns)
    op.create_index("ix_proposals_score", "proposals", ["image", "score"])
    contents = op.create_table(
        "contents",
        sa.Column("image", sa.String(), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("source", sa.String(), primary_key=True),
        sa.Column("category", sa.String(), primary_key=True),
    )
    op.create_index("ix_contents_category", "contents", ["category", "image"])
    newest = "SELECT image, max(number) FROM revisions GROUP BY image"
    _fill(
        contents,
        "revision",
        f"SELECT image, instances FROM revisions WHERE (image, number) IN ({newest})",
    )
    _fill(contents, "proposal", "SELECT image, instances FROM proposals")


def _fill(contents: sa.Table, source: str, query: str) -> None:
    connection = op.get_bind()
    found = connection.exec_driver_sql(query)
    while rows := found.fetchmany(_ROWS):
        fresh = [
            {"image": image, "source": source, "category": category}
            for image, blob in rows
            for category in sorted({one["category"] for one in json.loads(zlib.decompress(blob))})
        ]
        if fresh:
            connection.execute(sa.insert(contents), fresh)
