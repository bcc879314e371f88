"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, and the triggers that keep revisions append-only."""
    _categories_and_images()
    _revisions()
    _proposals_and_regions()
    _jobs_and_versions()


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _integer(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _float(name: str, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Float(), nullable=nullable)


def _categories_and_images() -> None:
    op.create_table(
        "categories",
        _text("id"),
        _text("name"),
        _text("color"),
        _integer("coco_id"),
        _text("merged_into", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("coco_id"),
        sa.ForeignKeyConstraint(["merged_into"], ["categories.id"]),
    )
    op.create_index(
        "ux_categories_name",
        "categories",
        ["name"],
        unique=True,
        sqlite_where=sa.text("merged_into IS NULL"),
    )
    op.create_table(
        "images",
        _text("id"),
        _integer("coco_id"),
        _text("path"),
        _text("sha256"),
        _integer("width"),
        _integer("height"),
        _text("group"),
        _text("split", nullable=True),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("coco_id"),
        sa.UniqueConstraint("path", "sha256", name="ux_images_path_sha256"),
    )


def _revisions() -> None:
    op.create_table(
        "revisions",
        _text("image"),
        _integer("number"),
        _integer("parent", nullable=True),
        _text("author"),
        _text("time"),
        _text("proposal", nullable=True),
        _integer("instance_count"),
        _text("verified_state"),
        _text("rejected"),
        _blob("verified"),
        _blob("instances"),
        sa.PrimaryKeyConstraint("image", "number"),
        sa.ForeignKeyConstraint(["image"], ["images.id"]),
    )
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER revisions_no_{action.lower()} BEFORE {action} ON revisions"
            " BEGIN SELECT RAISE(ABORT, 'revisions are append-only'); END"
        )
    op.create_table(
        "annotation_numbers",
        _integer("number"),
        _text("instance"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("instance"),
        sqlite_autoincrement=True,
    )


def _proposals_and_regions() -> None:
    op.create_table(
        "proposals",
        _text("image"),
        _text("version"),
        _text("uncertainty"),
        _float("score"),
        _text("time"),
        _blob("instances"),
        sa.PrimaryKeyConstraint("image"),
        sa.ForeignKeyConstraint(["image"], ["images.id"]),
    )
    op.create_table(
        "regions",
        _text("id"),
        _text("image"),
        _text("version"),
        _text("kind"),
        _text("state"),
        _float("score"),
        _text("reason"),
        _text("box"),
        _blob("parts"),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["image"], ["images.id"]),
    )
    op.create_index("ix_regions_image_state", "regions", ["image", "state"])


def _jobs_and_versions() -> None:
    op.create_table(
        "jobs",
        _integer("number"),
        _text("id"),
        _text("kind"),
        _text("state"),
        _text("created"),
        _text("updated"),
        _integer("pid", nullable=True),
        _float("pid_started", nullable=True),
        _text("error"),
        _text("config"),
        _text("progress"),
        _text("result"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "model_versions",
        _integer("number"),
        _text("id"),
        _text("parent", nullable=True),
        _text("job"),
        _text("state"),
        _text("created"),
        _text("snapshot"),
        _text("weights_sha256"),
        _text("categories"),
        _text("config"),
        _text("metrics"),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(
        "ux_model_versions_promoted",
        "model_versions",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'promoted'"),
    )


def downgrade() -> None:
    """Drop everything; the first schema has nothing before it."""
    for table in (
        "model_versions",
        "jobs",
        "regions",
        "proposals",
        "annotation_numbers",
        "revisions",
        "images",
        "categories",
    ):
        op.drop_table(table)
