"""Proposals and review regions: what a model version thinks, kept apart from every revision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from data_io.errors import DataError
from data_io.store import codec, schema
from data_io.store.categories import merged_map, require_categories
from data_io.store.contents import set_contents
from data_io.store.database import Database
from data_io.store.images import require_image
from data_io.store.numbering import check_instances
from data_io.types import Proposal, RegionState, ReviewRegion

_proposals, _regions = schema.proposals, schema.regions


def _proposal(row: Row[Any], merged: dict[str, str]) -> Proposal:
    return Proposal(
        image=row.image,
        version=row.version,
        instances=codec.instances_of_blob(row.instances, merged),
        uncertainty=row.uncertainty,
        score=row.score,
    )


def _region(row: Row[Any]) -> ReviewRegion:
    x, y, width, height = codec.of_json(row.box)
    return ReviewRegion(
        id=row.id,
        image=row.image,
        version=row.version,
        kind=row.kind,
        parts=codec.parts_of_blob(row.parts),
        box=(x, y, width, height),
        score=row.score,
        reason=row.reason,
        state=row.state,
        weight=row.weight,
    )


def _region_row(region: ReviewRegion, image: str) -> dict[str, Any]:
    what = f"image {image}"
    return {
        "id": region.id or codec.new_id(),
        "image": image,
        "version": region.version,
        "kind": region.kind,
        "state": region.state,
        "score": float(region.score),
        "reason": region.reason,
        "box": codec.to_json([float(value) for value in region.box], what),
        "parts": codec.parts_to_blob(region.parts, what),
        "weight": None if region.weight is None else float(region.weight),
    }


def set_region_state(
    connection: Connection, id: str, state: RegionState, image: str | None = None
) -> None:
    """Answer a region inside a transaction; `image` refuses regions of another image.

    Raises:
        DataError: an unknown region or state.
    """
    if state not in get_args(RegionState):
        raise DataError(f"region {id}", f"{state!r} is no answer", "accept, fix or skip it")
    query = update(_regions).where(_regions.c.id == id).values(state=state)
    if image is not None:
        query = query.where(_regions.c.image == image)
    if connection.execute(query).rowcount == 0:
        raise _no_region(id)


def _no_region(id: str) -> DataError:
    return DataError(f"region {id}", "is no longer there", "reload the image")


class Proposals(Database):
    """The current proposal of every image and its review regions."""

    def put_proposal(self, proposal: Proposal, regions: Sequence[ReviewRegion] = ()) -> None:
        """Replace an image's proposal and its open regions in one transaction.

        Answered regions stay answered: their rows are kept, and a region that comes again under
        the id of an answered one is left out. Revisions and verified areas are never touched.

        Args:
            proposal: what the model version predicts.
            regions: regions of this image; their `image` is set to the proposal's, and an empty
                `id` gets a new one.

        Raises:
            DataError: an unknown image or category, geometry that cannot be stored, or a region
                id that another image uses.
        """
        what = f"image {proposal.image}"
        check_instances(proposal.instances, what)
        row = {
            "image": proposal.image,
            "version": proposal.version,
            "uncertainty": proposal.uncertainty,
            "score": float(proposal.score),
            "time": codec.time_to_text(codec.now()),
            "instances": codec.instances_to_blob(proposal.instances, what),
        }
        rows = [_region_row(region, proposal.image) for region in regions]
        with self._write() as connection:
            require_image(connection, self.project, proposal.image)
            require_categories(connection, {one.category for one in proposal.instances}, what)
            connection.execute(delete(_proposals).where(_proposals.c.image == proposal.image))
            connection.execute(insert(_proposals).values(row))
            set_contents(connection, "proposal", {proposal.image: proposal.instances})
            self._replace_regions(connection, proposal.image, rows)

    @staticmethod
    def _replace_regions(connection: Connection, image: str, rows: list[dict[str, Any]]) -> None:
        connection.execute(
            delete(_regions).where(_regions.c.image == image, _regions.c.state == "open")
        )
        query = select(_regions.c.id, _regions.c.image)
        taken = {
            found.id: found.image
            for row in rows
            for found in connection.execute(query.where(_regions.c.id == row["id"]))
        }
        foreign = sorted(id for id, owner in taken.items() if owner != image)
        if foreign:
            why = "another image has a region of this id"
            raise DataError(f"region {foreign[0]}", why, "leave the id empty to get a new one")
        fresh = [row for row in rows if row["id"] not in taken]
        if fresh:
            connection.execute(insert(_regions), fresh)

    def proposal(self, image: str) -> Proposal | None:
        """The current proposal of an image, None before the first."""
        with self._read() as connection:
            query = select(_proposals).where(_proposals.c.image == image)
            row = connection.execute(query).one_or_none()
            return None if row is None else _proposal(row, merged_map(connection))

    def proposals(self) -> dict[str, Proposal]:
        """Image id -> current proposal, for the images that have one."""
        with self._read() as connection:
            merged = merged_map(connection)
            rows = connection.execute(select(_proposals))
            return {row.image: _proposal(row, merged) for row in rows}

    def regions(self, image: str, state: RegionState | None = None) -> list[ReviewRegion]:
        """Review regions of an image, highest score first; `state` keeps one state only."""
        query = select(_regions).where(_regions.c.image == image)
        if state is not None:
            query = query.where(_regions.c.state == state)
        with self._read() as connection:
            rows = connection.execute(query.order_by(_regions.c.score.desc(), _regions.c.id))
            return [_region(row) for row in rows]

    def region(self, id: str) -> ReviewRegion:
        """One review region.

        Raises:
            DataError: there is none of this id, for instance since a newer proposal replaced it.
        """
        with self._read() as connection:
            row = connection.execute(select(_regions).where(_regions.c.id == id)).one_or_none()
        if row is None:
            raise _no_region(id)
        return _region(row)

    def answered_regions(self) -> dict[str, int]:
        """Image id -> how many of its regions are accepted or fixed, for the images with any."""
        query = (
            select(_regions.c.image, func.count())
            .where(_regions.c.state.in_(("accepted", "fixed")))
            .group_by(_regions.c.image)
        )
        with self._read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def answer_region(self, id: str, state: RegionState) -> None:
        """Record what a person decided; `save_revision(answer=...)` does it along with an edit.

        Raises:
            DataError: an unknown region or state.
        """
        with self._write() as connection:
            set_region_state(connection, id, state)
