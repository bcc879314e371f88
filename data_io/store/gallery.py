"""The gallery's queries: an order of many images, and the rows of those on the screen.

A listing is computed once by one query over covering indexes and read in slices by its caller, so
that a deep page costs as little as the first and nothing moves while a person scrolls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select

from data_io.errors import DataError
from data_io.store import schema
from data_io.store.database import Database
from data_io.store.records import GalleryFilter, GalleryRow

_images, _revisions, _proposals = schema.images, schema.revisions, schema.proposals
_regions, _contents, _categories = schema.regions, schema.contents, schema.categories
ORDERS = ("added", "name", "group", "unreliable", "reliable")
_STATES = {"draft": "none", "partial": "partial", "verified": "whole"}
STATUSES = ("unlabeled", *_STATES)
NO_SPLIT = "none"


def _newest() -> ColumnElement[int]:
    """Number of the image's newest revision, NULL before the first."""
    return (
        select(func.max(_revisions.c.number))
        .where(_revisions.c.image == _images.c.id)
        .correlate(_images)
        .scalar_subquery()
    )


def _open_regions() -> ColumnElement[int]:
    where = _regions.c.image == _images.c.id, _regions.c.state == "open"
    return select(func.count()).where(*where).correlate(_images).scalar_subquery()


def _by_status(status: str) -> ColumnElement[bool]:
    if status not in STATUSES:
        raise DataError("the gallery", f"{status!r} is no status", f"use {', '.join(STATUSES)}")
    if status == "unlabeled":
        return _newest().is_(None)
    return (
        select(_revisions.c.verified_state)
        .where(_revisions.c.image == _images.c.id)
        .order_by(_revisions.c.number.desc())
        .limit(1)
        .correlate(_images)
        .scalar_subquery()
    ) == _STATES[status]


def _by_category(category: str) -> ColumnElement[bool]:
    same = select(_categories.c.id).where(
        or_(_categories.c.id == category, _categories.c.merged_into == category)
    )
    return _images.c.id.in_(select(_contents.c.image).where(_contents.c.category.in_(same)))


def _by_text(text: str) -> ColumnElement[bool]:
    return or_(
        _images.c.path.icontains(text, autoescape=True),
        _images.c.group.icontains(text, autoescape=True),
    )


def _by_score(lowest: float) -> ColumnElement[bool]:
    scored = select(_proposals.c.image).where(_proposals.c.score >= lowest)
    return _images.c.id.in_(scored)


def _where(wanted: GalleryFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [_images.c.excluded.is_(False)]
    if wanted.group is not None:
        found.append(_images.c.group == wanted.group)
    if wanted.split is not None:
        split = None if wanted.split == NO_SPLIT else wanted.split
        found.append(_images.c.split.is_not_distinct_from(split))
    if wanted.status is not None:
        found.append(_by_status(wanted.status))
    if wanted.category is not None:
        found.append(_by_category(wanted.category))
    if wanted.text:
        found.append(_by_text(wanted.text))
    if wanted.score is not None:
        found.append(_by_score(wanted.score))
    return found


def _sorted(query: Select[Any], order: str) -> Select[Any]:
    if order not in ORDERS:
        raise DataError("the gallery", f"{order!r} is no order", f"use {', '.join(ORDERS)}")
    if order in ("unreliable", "reliable"):
        query = query.outerjoin(_proposals, _proposals.c.image == _images.c.id)
        score = _proposals.c.score
        ranked = score.desc() if order == "unreliable" else score.asc()
        return query.order_by(ranked.nulls_last(), _images.c.coco_id)
    by = {"added": (), "name": (_images.c.path,), "group": (_images.c.group, _images.c.path)}
    return query.order_by(*by[order], _images.c.coco_id)


class Gallery(Database):
    """Many images at a glance; excluded ones are left out."""

    def gallery_order(self, wanted: GalleryFilter, order: str = "added") -> list[int]:
        """Numbers (`ImageRecord.coco_id`) of all matching images in the order asked for.

        Args:
            wanted: what to keep.
            order: one of `ORDERS`; unreliable = highest score first, images without a proposal
                last.

        Raises:
            DataError: an unknown order or status.
        """
        query = _sorted(select(_images.c.coco_id).select_from(_images), order)
        with self._read() as connection:
            return list(connection.execute(query.where(*_where(wanted))).scalars())

    def gallery_rows(self, numbers: Sequence[int]) -> list[GalleryRow]:
        """What the gallery tells about these images, in the order given; unknown ones left out."""
        query = (
            select(
                _images.c.coco_id,
                _images.c.id,
                _images.c.path,
                _images.c.group,
                _images.c.split,
                func.coalesce(_revisions.c.number, 0),
                func.coalesce(_revisions.c.instance_count, 0),
                func.coalesce(_revisions.c.verified_state, "none"),
                _proposals.c.score,
                _open_regions(),
            )
            .select_from(_images)
            .outerjoin(
                _revisions,
                (_revisions.c.image == _images.c.id) & (_revisions.c.number == _newest()),
            )
            .outerjoin(_proposals, _proposals.c.image == _images.c.id)
            .where(_images.c.coco_id.in_(numbers))
        )
        with self._read() as connection:
            rows = {row[0]: GalleryRow(*row[1:]) for row in connection.execute(query)}
        return [rows[number] for number in numbers if number in rows]

    def groups(self) -> dict[str, int]:
        """Group -> number of its images, by name; excluded ones are not counted."""
        query = (
            select(_images.c.group, func.count())
            .where(_images.c.excluded.is_(False))
            .group_by(_images.c.group)
            .order_by(_images.c.group)
        )
        with self._read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}
