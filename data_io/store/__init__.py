"""The project database: images, categories, revisions, proposals, jobs and model versions.

Lookups by id (`image`, `region`, `job`, `version`) raise `DataError` for an unknown id; the ones
that may have no answer (`image_by_path`, `revision`, `proposal`, `promoted`) return None.
"""

from __future__ import annotations

from data_io.store.records import (
    EmbeddingTable,
    FirstRevision,
    GalleryFilter,
    GalleryRow,
    ImageState,
    NewImage,
    NewReading,
    Reading,
    VerifiedState,
)
from data_io.store.store import Store

__all__ = [
    "EmbeddingTable",
    "FirstRevision",
    "GalleryFilter",
    "GalleryRow",
    "ImageState",
    "NewImage",
    "NewReading",
    "Reading",
    "Store",
    "VerifiedState",
]
