"""Every export goes this way: draft beside the target, read back, compared, then put in place.

Whatever goes wrong before the last step, a kill included, leaves an older export as it was.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from data_io import geometry as geo
from data_io.atomic import PARTIAL, file_sha256, recover_folder, sync, whole_folder
from data_io.errors import DataError
from data_io.formats.labels import Export, Reader, Writer
from data_io.types import ImageRecord, Instance

Rasters = dict[str, list[geo.Rle]]
MARK = ".herdmark-export"  # file in every exported folder: only such a one is ever replaced


@dataclass(frozen=True)
class Format:
    """One format: its two functions, and what it is.

    Attributes:
        name: as the command line calls it.
        title: for people.
        is_folder: whether an export is a folder instead of a file.
        read: its reader, None for what only an export can be.
        write: its writer.
        read_back: the rasters in a draft; None uses `read`.
    """

    name: str
    title: str
    is_folder: bool
    write: Writer
    read: Reader | None = None
    read_back: Callable[[Path, Export], Rasters] | None = None


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        images: how many. instances: how many.
        parts: connected pieces of all instances. holes: in all of them.
        vertices_median: of an instance's outline, all rings together.
        vertices_p90: 90th percentile of the same.
        iou_min: raster IoU of what was written with what is stored, the worst instance; None
            without instances. iou_mean: mean of all instances.
        sha256: hex digest of the file; of a folder, of its sorted names and contents.
        losses: what the format cannot hold, a sentence each.
    """

    images: int
    instances: int
    parts: int
    holes: int
    vertices_median: float
    vertices_p90: float
    iou_min: float | None
    iou_mean: float | None
    sha256: str
    losses: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "losses": list(self.losses)}


def write_labels(
    format: Format,
    target: str | Path,
    export: Export,
    stored: Mapping[int, geo.Rle] | None = None,
) -> ExportReport:
    """Write an export in a format.

    Args:
        format: which.
        target: the file or folder; replaced only once the draft was read back and compared.
        export: what goes in.
        stored: annotation id -> stored raster, where outlines were simplified for the export.

    Raises:
        DataError: unknown category, two images with one name, values the format cannot write, a
            full or read-only disk, a target of the wrong kind.
    """
    path = Path(target)
    check_target(path, format)
    _check(path, export)
    with _draft(path, format.is_folder) as draft:
        written = format.write(draft, export)
        found = _read_back(format, draft, export)
        _compare(path, written.expected, found)
        digest = _digest(draft)
        if format.is_folder:
            (draft / MARK).write_text(f"{format.title}, exported by Herdmark\n", encoding="utf-8")
    least, mean = _fidelity(export, found, stored)
    outlines = [one for image in export.images for _, one in image.instances]
    sizes = [_vertices(one) for one in outlines] or [0]
    return ExportReport(
        images=len(export.images),
        instances=sum(map(len, written.expected.values())),
        parts=sum(len(one.parts) for one in outlines),
        holes=sum(len(part.holes) for one in outlines for part in one.parts),
        vertices_median=float(np.median(sizes)),
        vertices_p90=float(np.percentile(sizes, 90)),
        iou_min=least,
        iou_mean=mean,
        sha256=digest,
        losses=written.losses,
    )


def file_names(
    target: Path, records: Sequence[ImageRecord], image_root: str | Path | None = None
) -> list[str]:
    """Name of each image relative to a folder, by default the deepest they share.

    Raises:
        DataError: two images would have one name.
    """
    files = [Path(record.path) for record in records]
    root = common_folder(files) if image_root is None else Path(image_root)
    names = [
        file.relative_to(root).as_posix() if root and file.is_relative_to(root) else file.name
        for file in files
    ]
    taken: set[str] = set()
    for name in names:
        if name in taken:
            why = f"two images would be called {name}"
            raise DataError(
                target, why, "choose an image folder that holds both", field="file_name"
            )
        taken.add(name)
    return names


def common_folder(files: Sequence[Path]) -> Path | None:
    """The deepest folder that holds all of the files; None when there is none."""
    try:
        return Path(os.path.commonpath([str(file.parent) for file in files]))
    except ValueError:  # no file at all, or several drives
        return None


# --- checks ---------------------------------------------------------------------------------------


def check_target(path: Path, format: Format) -> None:
    """Refuse what an export must not replace.

    A folder is replaced only when it is empty or an earlier export, which carries a mark; a file
    only when it is a plain one that holds labels by the look of it.

    Raises:
        DataError: what to name instead.
    """
    if format.is_folder and path.exists() and not path.is_dir():
        raise DataError(path, f"{format.title} is a folder and this is a file", "name a folder")
    if not format.is_folder and path.is_dir():
        raise DataError(path, f"{format.title} is a file and this is a folder", "name a file in it")
    if path.is_dir() and any(path.iterdir()) and not path.joinpath(MARK).is_file():
        why = "the folder holds something else than an earlier export, which would be lost"
        raise DataError(path, why, "name a new or an empty folder")
    if not format.is_folder and path.exists() and not _looks_like_labels(path):
        why = "there is a file that is no label file, which would be lost"
        raise DataError(path, why, "name another file")


def _looks_like_labels(path: Path) -> bool:
    """Whether a file is a plain one, and empty or begun like JSON or XML."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()
    return not head or head[:1] in b"{[<"


def _check(path: Path, export: Export) -> None:
    known = {category.id for category in export.categories}
    numbers: set[int] = set()
    for image in export.images:
        for number, instance in image.instances:
            index = f"annotation {number}"
            if instance.category not in known:
                why = f"category {instance.category} is unknown"
                raise DataError(path, why, "give the instance a category", index=index)
            if number < 1 or number in numbers:
                why = "ids are not unique numbers from 1 on"
                raise DataError(path, why, "report this as a fault of Herdmark", index=index)
            numbers.add(number)


def _read_back(format: Format, draft: Path, export: Export) -> Rasters:
    if format.read_back is not None:
        return format.read_back(draft, export)
    assert format.read is not None
    content = format.read(draft, export.pictures())
    if content.refused:
        fault = content.refused[0]
        raise DataError(
            fault.file, f"what was written cannot be read ({fault.why})", "report this as a fault"
        )
    return {
        image.file_name: [
            geo.rle_of_parts(one.parts, image.height, image.width) for one in image.instances
        ]
        for image in content.images
    }


def _compare(path: Path, expected: Rasters, found: Rasters) -> None:
    for name, rasters in expected.items():
        others = found.get(name, [])
        same = len(others) == len(rasters) and all(map(geo.same_raster, rasters, others))
        if not same:
            why = "what was read back differs from what is stored"
            raise DataError(path, why, "report this as a fault of Herdmark", index=name)


def _fidelity(
    export: Export, found: Rasters, stored: Mapping[int, geo.Rle] | None
) -> tuple[float | None, float | None]:
    """Least and mean IoU of stored instances with what a reader of the export gets for them."""
    values: list[float] = []
    for image, name in zip(export.images, export.names, strict=True):
        truth = [
            stored[number] if stored else export.raster(image, number, one)
            for number, one in image.instances
        ]
        made = found.get(name, [])
        if len(made) == len(truth):
            values += [
                1.0 if a == b else geo.rle_iou(a, b) for a, b in zip(truth, made, strict=True)
            ]
        elif made:  # hidden instances are gone: each left one counts where it fits best
            values += coco_mask.iou(truth, made, [0] * len(made)).max(axis=0).tolist()
    return (min(values), float(np.mean(values))) if values else (None, None)


def _vertices(instance: Instance) -> int:
    return sum(len(ring) for part in instance.parts for ring in (part.outer, *part.holes))


# --- putting it in place --------------------------------------------------------------------------


@contextmanager
def _draft(path: Path, is_folder: bool) -> Iterator[Path]:
    """A place beside the target that becomes the target when the block ends without an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_folder:
            recover_folder(path)
            with whole_folder(path) as draft:
                yield draft
        else:
            with _draft_file(path) as draft:
                yield draft
    except OSError as error:
        why = f"the export cannot be written ({error.strerror or error})"
        raise DataError(path, why, "check the folder and its free space") from error


@contextmanager
def _draft_file(path: Path) -> Iterator[Path]:
    draft = path.with_name(f"{PARTIAL}{uuid.uuid4().hex}{path.suffix}")
    try:
        yield draft
        sync(draft)
        os.replace(draft, path)
        sync(path.parent)
    finally:
        with suppress(OSError):
            draft.unlink()


def _digest(draft: Path) -> str:
    if draft.is_file():
        return file_sha256(draft)
    whole = hashlib.sha256()
    for file in sorted(path for path in draft.rglob("*") if path.is_file()):
        whole.update(f"{PurePosixPath(file.relative_to(draft))}\0{file_sha256(file)}\n".encode())
    return whole.hexdigest()
