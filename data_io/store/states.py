"""Where every image stands, kept in memory and brought up to date by the rows that changed.

Triggers number every change of an image (table `changes`), in the transaction that makes it and
whichever process does. A reader that knows the newest number it has seen therefore reads the
images with higher numbers and nothing else: one look-up where nothing happened.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection, Engine, func, select

from data_io.store import schema
from data_io.store.database import Database
from data_io.store.records import ImageState

_images, _changes = schema.images, schema.changes
_contents, _embeddings = schema.contents, schema.embeddings
_versions = schema.model_versions
_revisions, _proposals, _regions = schema.revisions, schema.proposals, schema.regions


_NEWEST = select(
    func.coalesce(select(func.max(_changes.c.number)).scalar_subquery(), 0),
    select(func.count()).where(_versions.c.state.in_(("promoted", "retired"))).scalar_subquery(),
)


class States(Database):
    """Every image with its newest revision, proposal and open regions, as of one moment."""

    def __init__(self, project: Path, engine: Engine) -> None:
        super().__init__(project, engine)
        self._known: dict[str, ImageState] = {}
        self._shown: Mapping[str, ImageState] = MappingProxyType(self._known)
        self._seen = 0  # the newest change among them
        self._renewing = threading.Lock()

    def image_states(self) -> Mapping[str, ImageState]:
        """Image id -> where it stands, excluded images too, in the order they were added.

        What was committed before the call, by any process, is in it. The mapping never changes;
        while nothing happens it is the same one, and so is the record of an untouched image.
        """
        return self.standing()[0]

    def standing(self) -> tuple[Mapping[str, ImageState], int]:
        """`image_states`, and how many model versions were ever promoted, as of one moment."""
        with self._renewing:
            with self._read() as connection:
                newest, rounds = connection.execute(_NEWEST).one()
                if newest != self._seen:
                    fresh = {one.id: one for one in _changed(connection, self._seen)}
                    self._known = self._known | fresh
                    self._shown = MappingProxyType(self._known)
                    self._seen = newest
            return self._shown, rounds


def _changed(connection: Connection, seen: int) -> Iterator[ImageState]:
    """The images with a change after number `seen`, in the order they were added."""
    newest = (
        select(func.max(_revisions.c.number))
        .where(_revisions.c.image == _images.c.id)
        .correlate(_images)
        .scalar_subquery()
    )
    where = _regions.c.image == _images.c.id, _regions.c.state == "open"
    open_regions = select(func.count()).where(*where).correlate(_images).scalar_subquery()
    of_proposal = _contents.c.image == _images.c.id, _contents.c.source == "proposal"
    names = func.group_concat(_contents.c.category, " ")  # ids hold no blanks
    proposed = select(names).where(*of_proposal).correlate(_images).scalar_subquery()
    query = (
        select(
            _images.c.id,
            _images.c.coco_id,
            _images.c.path,
            _images.c.group,
            _images.c.split,
            _images.c.excluded,
            func.coalesce(_revisions.c.number, 0),
            func.coalesce(_revisions.c.instance_count, 0),
            func.coalesce(_revisions.c.verified_state, "none"),
            _proposals.c.version,
            _proposals.c.score,
            open_regions,
            func.coalesce(proposed, ""),
            _embeddings.c.cluster,
            _embeddings.c.foreground,
        )
        .select_from(_images)
        .outerjoin(
            _revisions, (_revisions.c.image == _images.c.id) & (_revisions.c.number == newest)
        )
        .outerjoin(_proposals, _proposals.c.image == _images.c.id)
        .outerjoin(_embeddings, _embeddings.c.image == _images.c.id)
        .order_by(_images.c.coco_id)
    )
    if seen:  # the first time it is all of them
        recent = select(_changes.c.image).where(_changes.c.number > seen)
        query = query.where(_images.c.id.in_(recent))
    return (ImageState(*tuple(row)) for row in connection.execute(query))
