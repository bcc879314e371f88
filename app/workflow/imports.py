"""Photos and labels into a project; importing again adds nothing and alters nothing."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from app.run import Run
from data_io.errors import DataError, refused_rows
from data_io.formats.coco import CocoCategory, CocoFile, CocoImage, read_coco
from data_io.geometry import full_image, rle_of_parts
from data_io.images import EXTENSIONS, ImageInfo, inspect, list_images
from data_io.store import NewImage, Store
from data_io.types import ImageRecord, Instance, Revision

Kind = Literal["images", "coco"]
Vouched = Literal["verified", "draft"]
Progress = Callable[[int, int], None]
FORMATS = ("auto", "images", "coco")
AUTHOR = "import"
_READERS = 4  # Pillow decodes without the interpreter's lock


@dataclass
class Imported:
    """What an import did.

    Attributes:
        images: pictures added to the project.
        instances: instances added to it.
        known: pictures that were in the project already.
        refused: what was skipped, one sentence each.
    """

    images: int = 0
    instances: int = 0
    known: int = 0
    refused: list[DataError] = field(default_factory=list)

    @property
    def useful(self) -> bool:
        """True when anything was imported or had been before."""
        return self.images + self.instances + self.known > 0

    def as_dict(self) -> dict[str, Any]:
        """The answer of the import command."""
        return {
            "images": self.images,
            "instances": self.instances,
            "known": self.known,
            "refused": refused_rows(self.refused),
        }


def import_source(
    store: Store,
    source: Path,
    *,
    format: str = "auto",
    images: Path | None = None,
    group_by: str = "folder",
    vouched: Vouched = "verified",
    progress: Progress | None = None,
) -> Imported:
    """Import a folder of photos, a single photo, or a COCO file.

    Args:
        store: the project.
        source: folder, image or label file.
        format: ``images``, ``coco``, or ``auto`` to tell by what `source` is.
        images: folder of the label file's images; None = the file's folder and its ``images``.
        group_by: ``folder``, ``none`` (every image its own group) or ``regex:PATTERN``, matched
            against the path; its first group, else the whole match, names the image's group.
        vouched: whether the label file's images count as verified whole.
        progress: called with (done, all) as pictures are read.

    Raises:
        DataError: the source as a whole cannot be read; single files are listed in the answer.
    """
    source = Path(source).expanduser().absolute()
    grouping = Grouping(group_by, store.images(include_excluded=True))
    if _kind(source, format) == "images":
        return _import_folder(store, source, grouping, progress)
    folders = [source.parent, source.parent / "images"]
    if images is not None:
        folders = [Path(images).expanduser().absolute()]
        if not folders[0].is_dir():
            raise DataError(folders[0], "there is no such folder", "give the folder of the images")
    return _CocoImport(store, source, folders, grouping, vouched).run(progress)


def run_import(run: Run) -> dict[str, Any]:
    """The import job: its config holds `source` and the options of `import_source`."""
    options = dict(run.job.config)
    source, images = Path(options.pop("source")), options.pop("images", None)

    def progress(done: int, total: int) -> None:
        run.check()
        run.progress = {"step": done, "steps": total, "message": f"{done} of {total} images read"}

    report = import_source(
        run.store, source, images=Path(images) if images else None, progress=progress, **options
    )
    return report.as_dict()


class Grouping:
    """Names the group (camera, flight, video) of each image.

    By folder, images whose folder is in the project already join its group: a folder gets one name
    whichever way its images come in.
    """

    def __init__(self, rule: str, known: Iterable[ImageRecord]) -> None:
        self._pattern: re.Pattern[str] | None = None
        if rule.startswith("regex:"):
            try:
                self._pattern = re.compile(rule.removeprefix("regex:"))
            except re.error as error:
                raise DataError(rule, f"is no regular expression ({error})", "correct it") from None
        elif rule not in ("folder", "none"):
            raise DataError(
                rule, "is no way to group", "use folder, none or regex:PATTERN", field="group-by"
            )
        self._alone = rule == "none"
        self._folders = {Path(record.path).parent: record.group for record in known}

    def group(self, path: Path, root: Path) -> str:
        """The group of an image found under `root`."""
        relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        if self._alone:
            return relative
        if self._pattern is not None:
            match = self._pattern.search(relative)
            if match is not None:
                return next((text for text in match.groups() if text), match.group(0))
        by_folder = f"{root.name}/{relative}".rpartition("/")[0]
        return self._folders.setdefault(path.parent, by_folder)


def _kind(source: Path, format: str) -> Kind:
    if format not in FORMATS:
        raise DataError(source, f"unknown format {format!r}", f"use {', '.join(FORMATS)}")
    if not source.exists():
        raise DataError(source, "there is no such file or folder", "check the path")
    if format != "auto":
        return "images" if format == "images" else "coco"
    if source.is_dir() or source.suffix.lower() in EXTENSIONS:
        return "images"
    if source.suffix.lower() == ".json":
        return "coco"
    raise DataError(
        source, "is neither a folder, an image nor a .json file", "name its format with --format"
    )


def _inspect_all(
    paths: Sequence[Path], progress: Progress | None
) -> Iterable[tuple[Path, ImageInfo | DataError]]:
    """(path, info or why it cannot be read), in order, read by several threads."""

    def look(path: Path) -> ImageInfo | DataError:
        try:
            return inspect(path)
        except DataError as error:
            return error

    pool = ThreadPoolExecutor(_READERS)
    try:
        for done, (path, info) in enumerate(zip(paths, pool.map(look, paths), strict=True), 1):
            if progress is not None:
                progress(done, len(paths))
            yield path, info
    finally:
        pool.shutdown(cancel_futures=True)


def _import_folder(
    store: Store, source: Path, grouping: Grouping, progress: Progress | None
) -> Imported:
    root = source if source.is_dir() else source.parent
    paths = list_images(source) if source.is_dir() else [source]
    if not paths:
        raise DataError(source, "holds no image", f"use {', '.join(sorted(EXTENSIONS))} files")
    report = Imported()
    fresh = []
    for path, info in _inspect_all(paths, progress):
        if isinstance(info, DataError):
            report.refused.append(info)
        else:
            fresh.append(_new_image(info, grouping.group(path, root)))
    report.images = len(store.add_images(fresh))
    report.known = len(fresh) - report.images
    return report


def _new_image(info: ImageInfo, group: str) -> NewImage:
    return NewImage(info.path, info.width, info.height, info.sha256, group)


class _CocoImport:
    """One COCO file on its way into the store."""

    def __init__(
        self,
        store: Store,
        file: Path,
        folders: Sequence[Path],
        grouping: Grouping,
        vouched: Vouched,
    ) -> None:
        self._store, self._file, self._folders = store, file, folders
        self._grouping, self._vouched = grouping, vouched
        self._report = Imported()

    def run(self, progress: Progress | None) -> Imported:
        """Images first, then one revision for each labeled image: repeatable after a crash."""
        content = read_coco(self._file)
        self._report.refused.extend(content.refused)
        placed = self._place(content.images)
        sizes = self._register(placed, progress)
        categories = self._categories(content.categories)
        doubtful = _doubtful(self._file, content)
        newest = self._store.latest_revisions()
        for path, coco in placed.items():
            record = self._store.image_by_path(path) if path in sizes else None
            if record is None or not self._fits(record, coco):
                continue
            instances = self._instances(coco, categories)
            complete = coco.coco_id not in doubtful and len(instances) == len(coco.instances)
            self._label(record, coco, instances, newest.get(record.id), complete)
        return self._report

    def _refuse(self, why: str, remedy: str, index: str, field: str = "") -> None:
        self._report.refused.append(DataError(self._file, why, remedy, index=index, field=field))

    def _place(self, images: Iterable[CocoImage]) -> dict[Path, CocoImage]:
        """Where each image's file lies; images without one are refused."""
        placed: dict[Path, CocoImage] = {}
        for image in images:
            path = self._find(image.file_name)
            index = f"image {image.coco_id}"
            if path is None:
                self._refuse(
                    f"there is no {image.file_name} in {' or '.join(map(str, self._folders))}",
                    "give the folder of the images with --images",
                    index,
                    "file_name",
                )
            elif path in placed:
                self._refuse(
                    f"{image.file_name} is the same file as image {placed[path].coco_id}",
                    "list every file once",
                    index,
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
        self, placed: Mapping[Path, CocoImage], progress: Progress | None
    ) -> dict[Path, ImageInfo]:
        """Add the pictures; returns those that can be read and have the size the file says."""
        good: dict[Path, ImageInfo] = {}
        for path, info in _inspect_all(list(placed), progress):
            if isinstance(info, DataError):
                self._report.refused.append(info)
            else:
                good[path] = info
        fresh = [
            _new_image(info, self._grouping.group(path, self._root(path)))
            for path, info in good.items()
        ]
        self._report.images = len(self._store.add_images(fresh))
        self._report.known = len(fresh) - self._report.images
        return good

    def _root(self, path: Path) -> Path:
        return next(
            (folder for folder in self._folders if path.is_relative_to(folder)), path.parent
        )

    def _categories(self, listed: Iterable[CocoCategory]) -> dict[str, str]:
        """COCO category id as text -> category id of the project."""
        mapped = {}
        for category in listed:
            try:
                mapped[str(category.coco_id)] = self._store.add_category(category.name).id
            except DataError as error:
                self._refuse(error.why, error.remedy, f"category {category.coco_id}", "name")
        return mapped

    def _fits(self, record: ImageRecord, coco: CocoImage) -> bool:
        size, said = (record.width, record.height), (coco.width, coco.height)
        if size == said:
            return True
        turned = size == said[::-1]
        self._refuse(
            f"{coco.file_name} is {size[0]} x {size[1]} pixels but the label file says "
            f"{said[0]} x {said[1]}" + (", perhaps before its EXIF rotation" if turned else ""),
            "use the images that were labeled",
            f"image {coco.coco_id}",
            "width",
        )
        return False

    def _instances(self, coco: CocoImage, categories: Mapping[str, str]) -> list[Instance]:
        return [
            replace(instance, id=uuid.uuid4().hex, category=categories[instance.category])
            for instance in coco.instances
            if instance.category in categories
        ]

    def _label(
        self,
        record: ImageRecord,
        coco: CocoImage,
        instances: Sequence[Instance],
        newest: Revision | None,
        complete: bool,
    ) -> None:
        if newest is not None:
            if not _equal(record, newest.instances, instances):
                self._refuse(
                    f"{coco.file_name} has other labels in the project (revision {newest.number})",
                    "export the project first, or import into a new one",
                    f"image {coco.coco_id}",
                )
            return
        # Ground without its refused animals would teach that they are background.
        whole = self._vouched == "verified" and complete
        if not instances and not whole:
            return
        verified = full_image(record.height, record.width) if whole else ()
        self._store.save_revision(record.id, 0, instances, verified, AUTHOR)
        self._report.instances += len(instances)


def _doubtful(file: Path, content: CocoFile) -> set[int]:
    """Ids of images that lost an annotation to a refusal: what is left is not all there is."""
    if not content.refused:
        return set()
    listed = Counter(
        row.get("image_id")
        for row in json.loads(file.read_bytes().decode("utf-8-sig"))["annotations"]
        if isinstance(row, dict) and isinstance(row.get("image_id"), int | float)
    )
    return {one.coco_id for one in content.images if listed[one.coco_id] > len(one.instances)}


def _equal(record: ImageRecord, a: Iterable[Instance], b: Iterable[Instance]) -> bool:
    """True when both hold the same animals: categories and rasters, in any order."""

    def keys(instances: Iterable[Instance]) -> list[tuple[str, bytes]]:
        return sorted(
            (one.category, rle_of_parts(one.parts, record.height, record.width)["counts"])
            for one in instances
        )

    return keys(a) == keys(b)
