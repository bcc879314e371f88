"""Tables of the project database, as the newest migration leaves them.

Geometry is stored as zlib-compressed JSON: JSON keeps every float64 exactly, and a herd of
outlines shrinks to about a third. Small columns stand before the blobs, so that a query that only
needs them never touches the overflow pages of a large revision.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

metadata = MetaData()

categories = Table(
    "categories",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("color", String, nullable=False),
    Column("coco_id", Integer, nullable=False, unique=True),
    Column("merged_into", String, ForeignKey("categories.id")),
    Column("extras", String),
)
Index(
    "ux_categories_name",
    categories.c.name,
    unique=True,
    sqlite_where=text("merged_into IS NULL"),
)

images = Table(
    "images",
    metadata,
    Column("id", String, primary_key=True),
    Column("coco_id", Integer, nullable=False, unique=True),
    Column("path", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("group", String, nullable=False),
    Column("split", String),
    Column("excluded", Boolean, nullable=False),
    Column("extras", String),
    UniqueConstraint("path", "sha256", name="ux_images_path_sha256"),
)
Index("ix_images_group", images.c.group, images.c.path)

revisions = Table(
    "revisions",
    metadata,
    Column("image", String, ForeignKey("images.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("parent", Integer),
    Column("author", String, nullable=False),
    Column("time", String, nullable=False),
    Column("proposal", String),
    Column("instance_count", Integer, nullable=False),
    Column("verified_state", String, nullable=False),
    Column("rejected", String, nullable=False),
    Column("verified", LargeBinary, nullable=False),
    Column("instances", LargeBinary, nullable=False),
)

Index(
    "ix_revisions_state",
    revisions.c.image,
    revisions.c.number,
    revisions.c.verified_state,
    revisions.c.instance_count,
)

# What the answer that made a revision cost and bought; see `records.NewReading`.
readings = Table(
    "readings",
    metadata,
    Column("image", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("region", String),
    Column("seconds", Float),
    Column("version", String),
    Column("kept", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("deleted", Integer, nullable=False),
    Column("pixels_both", Integer, nullable=False),
    Column("pixels_either", Integer, nullable=False),
    Column("pixels_wrong", Integer, nullable=False),
    Column("pixels_caught", Integer, nullable=False),
    Column("audits", Integer, nullable=False),
    Column("audits_wrong", Integer, nullable=False),
    Column("bins", String, nullable=False),
    Column("taken_back", Integer),
    ForeignKeyConstraint(["image", "number"], ["revisions.image", "revisions.number"]),
)

annotation_numbers = Table(
    "annotation_numbers",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("instance", String, nullable=False, unique=True),
    sqlite_autoincrement=True,
)

proposals = Table(
    "proposals",
    metadata,
    Column("image", String, ForeignKey("images.id"), primary_key=True),
    Column("version", String, nullable=False),
    Column("uncertainty", String, nullable=False),
    Column("score", Float, nullable=False),
    Column("time", String, nullable=False),
    Column("instances", LargeBinary, nullable=False),
)

Index("ix_proposals_score", proposals.c.image, proposals.c.score)

# Which categories the newest revision ("revision") and the proposal of an image hold: the gallery
# filters by them, and cannot open the geometry of every image for that.
contents = Table(
    "contents",
    metadata,
    Column("image", String, ForeignKey("images.id"), primary_key=True),
    Column("source", String, primary_key=True),
    Column("category", String, primary_key=True),
)
Index("ix_contents_category", contents.c.category, contents.c.image)

# The number of every image's newest change, written by triggers on the tables it depends on; see
# `states`. A number is never given twice.
changes = Table(
    "changes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("image", String, nullable=False, unique=True),
    sqlite_autoincrement=True,
)

regions = Table(
    "regions",
    metadata,
    Column("id", String, primary_key=True),
    Column("image", String, ForeignKey("images.id"), nullable=False),
    Column("version", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("score", Float, nullable=False),
    Column("reason", String, nullable=False),
    Column("box", String, nullable=False),
    Column("parts", LargeBinary, nullable=False),
    Column("weight", Float),
)
Index("ix_regions_image_state", regions.c.image, regions.c.state)

embeddings = Table(
    "embeddings",
    metadata,
    Column("image", String, ForeignKey("images.id"), primary_key=True),
    Column("cluster", Integer),
    Column("foreground", Float),
    Column("source", String, nullable=False),
    Column("vector", LargeBinary, nullable=False),
)

clusters = Table(
    "clusters",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("center", LargeBinary, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created", String, nullable=False),
    Column("updated", String, nullable=False),
    Column("pid", Integer),
    Column("pid_started", Float),
    Column("error", String, nullable=False),
    Column("config", String, nullable=False),
    Column("progress", String, nullable=False),
    Column("result", String, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("parent", String),
    Column("job", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created", String, nullable=False),
    Column("snapshot", String, nullable=False),
    Column("weights_sha256", String, nullable=False),
    Column("categories", String, nullable=False),
    Column("config", String, nullable=False),
    Column("metrics", String, nullable=False),
)
Index(
    "ux_model_versions_promoted",
    model_versions.c.state,
    unique=True,
    sqlite_where=text("state = 'promoted'"),
)
