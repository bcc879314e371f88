"""COCO instance files out: exact, re-read before they replace anything."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.types import Category, ImageRecord, Instance, Parts, Ring


@dataclass(frozen=True, eq=False)
class ExportImage:
    """One image of an export; each instance with its stable annotation id >= 1."""

    record: ImageRecord
    instances: Sequence[tuple[int, Instance]]


@dataclass(frozen=True)
class ExportReport:
    """What was written: counts, and the hex digest of the file."""

    images: int
    instances: int
    sha256: str


def write_coco(
    target: str | Path,
    images: Sequence[ExportImage],
    categories: Sequence[Category],
    image_root: str | Path | None = None,
) -> ExportReport:
    """Write a COCO instance file whose rasters equal the stored ones, pixel for pixel.

    The file is written next to `target`, read again, every raster compared through pycocotools, and
    only then put in place; whatever goes wrong before that leaves an older file as it was.

    Args:
        target: the file to write.
        images: what goes in; images without instances too.
        categories: all categories instances refer to.
        image_root: folder that file names are relative to; by default the images' common folder.

    Raises:
        DataError: unknown category, ids used twice, values JSON cannot hold, two images with one
            name, a full or read-only disk.
    """
    path = Path(target)
    names = _file_names(path, [image.record.path for image in images], image_root)
    by_id = {category.id: category for category in categories}
    expected: dict[int, geo.Rle] = {}
    annotations = [
        _annotation(path, number, instance, image.record, by_id, expected)
        for image in images
        for number, instance in image.instances
    ]
    tree = {
        "info": {"description": "Labels exported by Herdmark", "version": "1"},
        "licenses": [],
        "images": [
            {
                "id": image.record.coco_id,
                "file_name": name,
                "width": image.record.width,
                "height": image.record.height,
            }
            for image, name in zip(images, names, strict=True)
        ],
        "annotations": annotations,
        "categories": [
            {"id": category.coco_id, "name": category.name, "supercategory": ""}
            for category in categories
        ],
    }
    _check_ids(path, tree)
    data = _dump(path, tree)
    _replace(path, data, lambda file: _compare(path, file, expected))
    return ExportReport(len(images), len(annotations), hashlib.sha256(data).hexdigest())


# --- content --------------------------------------------------------------------------------------


def _annotation(
    path: Path,
    number: int,
    instance: Instance,
    record: ImageRecord,
    categories: Mapping[str, Category],
    expected: dict[int, geo.Rle],
) -> dict[str, Any]:
    category = categories.get(instance.category)
    if category is None:
        why = f"category {instance.category} is unknown"
        raise DataError(path, why, "give the instance a category", index=f"annotation {number}")
    rle = geo.rle_of_parts(instance.parts, record.height, record.width)
    expected[number] = rle
    known: dict[str, Any] = {
        "id": number,
        "image_id": record.coco_id,
        "category_id": category.coco_id,
        "segmentation": _segmentation(instance, rle),
        "area": geo.area_of_rle(rle),
        "bbox": list(geo.box_of_rle(rle)),
        "iscrowd": int(instance.iscrowd),
    }
    if instance.score is not None:
        known["score"] = instance.score
    attributes = dict(instance.attributes)
    if instance.source != "human":
        attributes["source"] = instance.source
        if instance.version is not None:
            attributes["version"] = instance.version
    if attributes:
        known["attributes"] = attributes
    return {**instance.extras, **known}


def _segmentation(instance: Instance, rle: geo.Rle) -> list[list[float]] | dict[str, Any]:
    """Polygons as stored, else of the exact outline, whichever rasterizes exactly; else the RLE."""
    candidates: tuple[Callable[[], list[Ring]], ...] = (
        lambda: _rings(instance.parts),
        lambda: _rings(geo.parts_of_rle(rle)),
    )
    # Readers expect crowds as RLE.
    for candidate in () if instance.iscrowd else candidates:
        flat = [_compact(ring) for ring in candidate()]
        if flat and geo.same_raster(
            coco_mask.merge(coco_mask.frPyObjects(flat, *rle["size"])), rle
        ):
            return flat
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def _rings(parts: Parts) -> list[Ring]:
    return [ring for part in parts for ring in (geo.keyhole(part) if part.holes else [part.outer])]


def _compact(ring: Ring) -> list[float]:
    """Flat coordinates, whole ones as integers: the outline of a mask has no others."""
    return [int(value) if value.is_integer() else value for value in geo.ring_to_flat(ring)]


def _file_names(path: Path, files: Sequence[str], image_root: str | Path | None) -> list[str]:
    root = _common_folder(files) if image_root is None else Path(image_root)
    names = [
        Path(file).relative_to(root).as_posix()
        if root is not None and Path(file).is_relative_to(root)
        else Path(file).name
        for file in files
    ]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        why = f"two images would be called {twice}"
        raise DataError(path, why, "choose an image folder that holds both", field="file_name")
    return names


def _common_folder(files: Sequence[str]) -> Path | None:
    try:
        return Path(os.path.commonpath([os.path.dirname(file) for file in files]))
    except ValueError:  # no file at all, or several drives
        return None


def _check_ids(path: Path, tree: Mapping[str, Any]) -> None:
    for key in ("images", "annotations", "categories"):
        ids = [row["id"] for row in tree[key]]
        if len(set(ids)) < len(ids) or min(ids, default=1) < 1:
            why = "ids are not unique numbers from 1 on"
            raise DataError(path, why, "report this as a fault of Herdmark", field=key)


def _dump(path: Path, tree: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        why = "an attribute cannot be written as JSON"
        raise DataError(path, why, "remove it", field="attributes") from error


# --- putting it in place --------------------------------------------------------------------------


def _replace(path: Path, data: bytes, check: Callable[[Path], None]) -> None:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(draft, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        check(draft)
        os.replace(draft, path)
        _sync_folder(path.parent)
    except OSError as error:
        why = f"the file cannot be written ({error.strerror or error})"
        raise DataError(path, why, "check the folder and its free space") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where the system can open folders (Windows cannot)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _compare(path: Path, file: Path, expected: Mapping[int, geo.Rle]) -> None:
    """Read the file as any user of pycocotools will, and compare every raster."""
    tree = json.loads(file.read_bytes())
    reader = COCO()  # given a file name it would print to the standard output
    reader.imgs = {row["id"]: row for row in tree["images"]}
    for row in tree["annotations"]:
        number = row["id"]
        rle = reader.annToRLE(row)
        if isinstance(rle["counts"], str):
            rle = {"size": rle["size"], "counts": rle["counts"].encode("ascii")}
        if not geo.same_raster(rle, expected[number]):
            why = "the outline read back differs from the stored one"
            remedy = "report this as a fault of Herdmark"
            raise DataError(path, why, remedy, index=f"annotation {number}", field="segmentation")
