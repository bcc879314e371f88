"""Images of the project: registered once, excluded or relinked later, never deleted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.sql import ColumnElement

from data_io.atomic import file_sha256
from data_io.errors import DataError
from data_io.store import codec, schema
from data_io.store.codec import new_id
from data_io.store.database import Database
from data_io.store.records import NewImage
from data_io.types import ImageRecord, Split

_table = schema.images


def image_rows(
    connection: Connection, project: Path, *where: ColumnElement[bool]
) -> list[ImageRecord]:
    """Matching images in the order they were added, with absolute paths."""
    rows = connection.execute(select(_table).where(*where).order_by(_table.c.coco_id))
    return [_record(row, project) for row in rows]


def _record(row: Row[Any], project: Path) -> ImageRecord:
    return ImageRecord(
        id=row.id,
        path=str(project / row.path),  # an absolute row.path replaces the project
        width=row.width,
        height=row.height,
        sha256=row.sha256,
        group=row.group,
        split=row.split,
        excluded=row.excluded,
        coco_id=row.coco_id,
        extras=codec.extras_of_text(row.extras),
    )


def require_image(connection: Connection, project: Path, id: str) -> ImageRecord:
    """The image with this id.

    Raises:
        DataError: there is none.
    """
    rows = image_rows(connection, project, _table.c.id == id)
    if not rows:
        raise DataError(f"image {id}", "is not in this project", "reload the list of images")
    return rows[0]


def _check_split(split: Split | None) -> None:
    if split is not None and split not in get_args(Split):
        raise DataError(f"split {split!r}", "is unknown", "use train, val or test")


class Images(Database):
    """Pictures the project knows; the files stay where they are."""

    def _stored_path(self, path: str | Path) -> str:
        """Relative to the project (with ``/``) when inside it, so that a project can be moved."""
        absolute = Path(os.path.abspath(self.project / path))
        if absolute.is_relative_to(self.project):
            return absolute.relative_to(self.project).as_posix()
        return str(absolute)

    def add_images(self, images: Sequence[NewImage]) -> list[ImageRecord]:
        """Register the pictures that are new, in one transaction.

        The same path with the same sha256 adds nothing. The same path with other bytes is another
        image; the older one keeps its revisions but is excluded, since its pixels are gone (and
        comes back when those bytes do).

        Returns:
            The added images only, in the order given.

        Raises:
            DataError: a size below one pixel.
        """
        for image in images:
            if image.width < 1 or image.height < 1:
                why = f"has the size {image.width} x {image.height}"
                raise DataError(image.path, why, "check that it is an image")
        with self._write() as connection:
            known = self._known_by_path(connection)
            last = connection.execute(select(func.max(_table.c.coco_id))).scalar() or 0
            splits = self._splits_of_groups(connection)
            added: list[dict[str, Any]] = []
            for image in images:
                row = self._add(connection, image, known, last + len(added) + 1)
                if row is not None:
                    added.append({**row, "split": splits.get(image.group)})
            if added:
                connection.execute(insert(_table), added)
            ids = {row["id"] for row in added}
            if not ids:
                return []
            records = image_rows(connection, self.project, _table.c.coco_id > last)
            return [record for record in records if record.id in ids]

    def _known_by_path(self, connection: Connection) -> dict[str, dict[str, tuple[str, bool]]]:
        """Stored path -> sha256 -> (image id, excluded)."""
        known: dict[str, dict[str, tuple[str, bool]]] = {}
        rows = connection.execute(
            select(_table.c.id, _table.c.path, _table.c.sha256, _table.c.excluded)
        )
        for row in rows:
            known.setdefault(row.path, {})[row.sha256] = (row.id, row.excluded)
        return known

    @staticmethod
    def _splits_of_groups(connection: Connection) -> dict[str, str]:
        """Group -> split, for groups of which every image has the same one.

        A new frame of a camera that is kept for validation must not be trained on.
        """
        found: dict[str, set[str | None]] = {}
        for row in connection.execute(select(_table.c.group, _table.c.split).distinct()):
            found.setdefault(row.group, set()).add(row.split)
        alone = {group: next(iter(splits)) for group, splits in found.items() if len(splits) == 1}
        return {group: split for group, split in alone.items() if split is not None}

    def _add(
        self,
        connection: Connection,
        image: NewImage,
        known: dict[str, dict[str, tuple[str, bool]]],
        coco_id: int,
    ) -> dict[str, Any] | None:
        """The row to insert for a new picture, None for a known one; replaced ones step aside."""
        path = self._stored_path(image.path)
        here = known.setdefault(path, {})
        others = [id for sha, (id, out) in here.items() if sha != image.sha256 and not out]
        if others:
            self._exclude(connection, others, True)
            here.update({sha: (id, True) for sha, (id, _) in here.items() if id in others})
        if image.sha256 in here:
            if others:
                self._exclude(connection, [here[image.sha256][0]], False)
            return None
        row = {
            "id": new_id(),
            "coco_id": coco_id,
            "path": path,
            "sha256": image.sha256,
            "width": int(image.width),
            "height": int(image.height),
            "group": image.group,
            "excluded": False,
            "extras": codec.extras_to_text(image.extras, image.path),
        }
        here[image.sha256] = (str(row["id"]), False)
        return row

    @staticmethod
    def _exclude(connection: Connection, ids: list[str], excluded: bool) -> None:
        connection.execute(update(_table).where(_table.c.id.in_(ids)).values(excluded=excluded))

    def images(self, include_excluded: bool = False) -> list[ImageRecord]:
        """Images in the order they were added."""
        where = () if include_excluded else (_table.c.excluded.is_(False),)
        with self._read() as connection:
            return image_rows(connection, self.project, *where)

    def image(self, id: str) -> ImageRecord:
        """The image with this id, excluded or not.

        Raises:
            DataError: there is none.
        """
        with self._read() as connection:
            return require_image(connection, self.project, id)

    def image_by_path(self, path: str | Path) -> ImageRecord | None:
        """The newest image registered for this file, one in use before an excluded one."""
        with self._read() as connection:
            rows = image_rows(connection, self.project, _table.c.path == self._stored_path(path))
        return max(rows, key=lambda row: (not row.excluded, row.coco_id), default=None)

    def set_split(self, id: str, split: Split | None) -> None:
        """Put an image into train, val or test; None takes it out of all three.

        Raises:
            DataError: an unknown image or split.
        """
        _check_split(split)
        self._set(id, split=split)

    def set_splits(self, splits: Mapping[str, Split | None]) -> None:
        """Put many images (by id) into their splits in one transaction, all or none.

        Raises:
            DataError: an unknown image or split.
        """
        for split in splits.values():
            _check_split(split)
        query = update(_table).where(_table.c.id == bindparam("image"))
        rows = [{"image": id, "to": split} for id, split in splits.items()]
        with self._write() as connection:
            unknown = splits.keys() - set(connection.execute(select(_table.c.id)).scalars())
            if unknown:
                require_image(connection, self.project, min(unknown))
            if rows:
                connection.execute(query.values(split=bindparam("to")), rows)

    def set_excluded(self, id: str, excluded: bool) -> None:
        """Leave an image out of queue, training and export, or take it back in.

        Raises:
            DataError: an unknown image, or one to take back in whose file holds another picture
                now.
        """
        with self._write() as connection:
            record = require_image(connection, self.project, id)
            if not excluded:
                self._refuse_replaced(connection, record)
            self._exclude(connection, [id], bool(excluded))

    def _refuse_replaced(self, connection: Connection, record: ImageRecord) -> None:
        """A file has one image in use: with two, outlines would lie on foreign pixels."""
        where = _table.c.path == self._stored_path(record.path), _table.c.excluded.is_(False)
        if any(one.id != record.id for one in image_rows(connection, self.project, *where)):
            remedy = "put the old file back and import it again"
            raise DataError(record.path, "the file holds another picture now", remedy)

    def _set(self, id: str, **values: Any) -> None:
        with self._write() as connection:
            require_image(connection, self.project, id)
            connection.execute(update(_table).where(_table.c.id == id).values(**values))

    def relink(self, old_root: str | Path, new_root: str | Path) -> int:
        """Follow a moved folder: images below `old_root` now lie below `new_root`.

        An image is relinked only where the very bytes it was imported from are found; the others
        keep their paths, so that a wrong folder changes nothing.

        Returns:
            How many images were relinked.

        Raises:
            DataError: `new_root` is no folder.
        """
        old, new = (Path(os.path.abspath(root)) for root in (old_root, new_root))
        if not new.is_dir():
            raise DataError(new, "is no folder", "name the folder the images moved to")
        query = select(_table.c.id, _table.c.path, _table.c.sha256)
        with self._read() as connection:
            rows = connection.execute(query).all()
        # Reading thousands of pictures takes minutes, so no transaction is open meanwhile.
        found = {(row.id, row.path): self._moved(row.path, row.sha256, old, new) for row in rows}
        with self._write() as connection:
            rows = connection.execute(query).all()
            taken = {(row.path, row.sha256) for row in rows}
            moved = 0
            for row in rows:
                path = found.get((row.id, row.path))
                if path is None or (path, row.sha256) in taken:
                    continue
                connection.execute(update(_table).where(_table.c.id == row.id).values(path=path))
                taken.add((path, row.sha256))
                moved += 1
            return moved

    def _moved(self, stored: str, sha256: str, old: Path, new: Path) -> str | None:
        """The image's path below the new root, None unless its very bytes lie there."""
        absolute = self.project / stored
        if not absolute.is_relative_to(old):
            return None
        target = new / absolute.relative_to(old)
        try:
            same = target.is_file() and file_sha256(target) == sha256
        except OSError:  # a file that cannot be read is as good as none
            return None
        return self._stored_path(target) if same else None
