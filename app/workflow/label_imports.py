"""Labels of any format into a project: pictures first, then one revision for each image."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from app.workflow.imports import (
    Grouping,
    Imported,
    Inspection,
    Progress,
    Roots,
    Vouched,
    new_image,
)
from data_io.errors import DataError
from data_io.formats.labels import (
    FileCategory,
    FileImage,
    LabelFile,
    PicturesInFolders,
    Repair,
)
from data_io.formats.registry import FORMATS
from data_io.geometry import full_image, rle_of_parts
from data_io.images import ImageInfo
from data_io.store import FirstRevision, Store
from data_io.types import Category, ImageRecord, Instance, Parts, Revision

AUTHOR = "import"
_CHUNK = 1000  # images whose labels are saved while further pictures are decoded
# Where label formats keep their images, seen from the label file or folder.
_BESIDE = (".", "images", "JPEGImages", "leftImg8bit", "data")


class LabelImport:
    """One label file or folder on its way into the store."""

    def __init__(
        self,
        store: Store,
        source: Path,
        images: Path | None,
        grouping: Grouping,
        vouched: Vouched,
        rename: Mapping[str, str],
        limits: Roots,
    ) -> None:
        self._store, self._source = store, source
        self._folders = _folders(source) if images is None else [images]
        self._ahead: Inspection | None = None
        self._grouping, self._vouched = grouping, vouched
        self._rename, self._limits = rename, limits
        self._report = Imported()

    def run(self, format: str, progress: Progress | None) -> Imported:
        """Repeatable after a crash: what is in the project already is left as it is."""
        read = FORMATS[format].read
        assert read is not None
        self._limits.check(self._source)
        with ExitStack() as stack:

            def look(names: Sequence[str]) -> None:
                found = (self._find(name) for name in names)
                paths = list(dict.fromkeys(path for path in found if path is not None))
                self._ahead = stack.enter_context(Inspection(paths, self._limits, progress))

            content = read(self._source, PicturesInFolders(self._folders, look))
            gc.freeze()  # what was read stays to the end: the collector need not walk it again
            stack.callback(gc.unfreeze)
            placed = self._place(content.images)
            ahead = self._ahead or stack.enter_context(
                Inspection(list(placed), self._limits, progress)
            )
            self._take(content, placed, (one for one in ahead if one[0] in placed))
        return self._report

    def _take(
        self,
        content: LabelFile,
        placed: Mapping[Path, FileImage],
        inspected: Iterator[tuple[Path, ImageInfo | DataError]],
    ) -> None:
        self._report.refused.extend(content.refused)
        self._report.repaired.extend(content.repaired)
        categories = self._categories(content.categories)
        newest = self._store.latest_revisions()
        # The next pictures are read while the labels of those before are saved.
        while chunk := list(islice(inspected, _CHUNK)):
            records = self._register(chunk, placed)
            fresh = []
            for path, record in records.items():
                if self._fits(record, placed[path]):
                    first = self._first(record, placed[path], categories, newest.get(record.id))
                    fresh += [first] if first else []
            self._store.save_first_revisions(fresh, AUTHOR)
            self._report.instances += sum(len(one.instances) for one in fresh)

    def _refuse(self, why: str, remedy: str, index: str, field: str = "") -> None:
        self._report.refused.append(DataError(self._source, why, remedy, index=index, field=field))

    # --- pictures ---------------------------------------------------------------------------------

    def _place(self, images: Iterable[FileImage]) -> dict[Path, FileImage]:
        """Where each image's file lies; images without one are refused."""
        placed: dict[Path, FileImage] = {}
        for image in images:
            path = self._find(image.file_name)
            if path is None:
                self._refuse(
                    f"there is no {image.file_name} in {' or '.join(map(str, self._folders))}",
                    "give the folder of the images with --images",
                    image.key,
                    "file_name",
                )
            elif path in placed:
                self._refuse(
                    f"{image.file_name} is the same file as {placed[path].key}",
                    "list every file once",
                    image.key,
                    "file_name",
                )
            else:
                placed[path] = image
        return placed

    def _find(self, file_name: str) -> Path | None:
        # Files are often listed with the folders they once lay in: the bare name comes last.
        for name in (Path(file_name), Path(Path(file_name).name)):
            for folder in self._folders:
                if name.name and folder.joinpath(name).is_file():
                    return folder / name
        return None

    def _register(
        self, chunk: Sequence[tuple[Path, ImageInfo | DataError]], placed: Mapping[Path, FileImage]
    ) -> dict[Path, ImageRecord]:
        """Add the pictures that can be read; returns them and those known before."""
        good: dict[Path, ImageInfo] = {}
        for path, info in chunk:
            if isinstance(info, DataError):
                self._report.refused.append(info)
            else:
                good[path] = info
        fresh = [
            new_image(info, self._grouping.group(path, self._root(path)), placed[path].extras)
            for path, info in good.items()
        ]
        added = len(self._store.add_images(fresh))
        self._report.images += added
        self._report.known += len(fresh) - added
        records = {record.path: record for record in self._store.images()}
        return {path: records[str(path)] for path in good if str(path) in records}

    def _root(self, path: Path) -> Path:
        return next(
            (folder for folder in self._folders if path.is_relative_to(folder)), path.parent
        )

    def _fits(self, record: ImageRecord, image: FileImage) -> bool:
        size, said = (record.width, record.height), (image.width, image.height)
        if size == said:
            return True
        turned = size == said[::-1]
        self._refuse(
            f"{image.file_name} is {size[0]} x {size[1]} pixels but the label file says "
            f"{said[0]} x {said[1]}" + (", perhaps before its EXIF rotation" if turned else ""),
            "use the images that were labeled",
            image.key,
            "width",
        )
        return False

    # --- categories -------------------------------------------------------------------------------

    def _categories(self, listed: Iterable[FileCategory]) -> dict[str, str]:
        """Category key of the file -> category id of the project."""
        mapped = {}
        for category in listed:
            try:
                target = self._category(category)
            except DataError as error:
                index = f"category {category.key}"
                self._refuse(error.why, error.remedy, index, "name")
                continue
            mapped[category.key] = target.id
            self._report.categories[category.name] = target.name
        return mapped

    def _category(self, category: FileCategory) -> Category:
        """The project's category of a name, a new one where there is none.

        Names that differ only in case or spaces are one category unless the person says otherwise.
        """
        if category.name in self._rename:
            return self._store.add_category(self._rename[category.name], extras=category.extras)
        alike = {_plain(one.name): one for one in reversed(self._store.categories())}
        known = alike.get(_plain(category.name))
        if known is None or known.name == category.name:
            return self._store.add_category(category.name, extras=category.extras)
        self._report.repaired.append(
            Repair(
                str(self._source),
                f"category {category.key}",
                "name",
                f"{category.name!r} differs from the project's {known.name!r} in case or spaces",
                f"taken as {known.name!r}; --map {category.name!r}=NAME says otherwise",
            )
        )
        return known

    # --- revisions --------------------------------------------------------------------------------

    def _first(
        self,
        record: ImageRecord,
        image: FileImage,
        categories: Mapping[str, str],
        newest: Revision | None,
    ) -> FirstRevision | None:
        """The image's first revision; None where there is nothing to say, or one already."""
        instances = [
            Instance(**{**vars(one), "category": categories[one.category]})
            for one in image.instances
            if one.category in categories
        ]
        if newest is not None:
            if not _equal(record, newest.instances, instances):
                self._refuse(
                    f"{image.file_name} has other labels in the project (revision {newest.number})",
                    "export the project first, or import into a new one",
                    image.key,
                )
            return None
        # Ground without its refused animals would teach that they are background.
        complete = image.complete and len(instances) == len(image.instances)
        verified = self._verified(record, image) if complete else ()
        return FirstRevision(record.id, instances, verified) if instances or verified else None

    def _verified(self, record: ImageRecord, image: FileImage) -> Parts:
        if self._vouched == "draft":
            return ()
        return full_image(record.height, record.width) if image.verified is None else image.verified


def _folders(source: Path) -> list[Path]:
    root = source if source.is_dir() else source.parent
    found = [root / name for name in _BESIDE]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _equal(record: ImageRecord, a: Sequence[Instance], b: Sequence[Instance]) -> bool:
    """True when both hold the same animals: categories and rasters, in any order."""

    def keys(instances: Iterable[Instance]) -> list[tuple[str, bytes]]:
        return sorted(
            (one.category, rle_of_parts(one.parts, record.height, record.width)["counts"])
            for one in instances
        )

    return len(a) == len(b) and keys(a) == keys(b)
