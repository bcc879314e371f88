"""COCO instance files out: exact outlines, stable ids, area and box from the raster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pycocotools.coco import COCO

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.export import Rasters
from data_io.formats.labels import Export, ExportImage, Outlines, Written
from data_io.rings import exact_rings, separate_rings
from data_io.types import Category, Instance, Ring


def write_coco(target: Path, export: Export) -> Written:
    """Write a COCO instance file (https://cocodataset.org/#format-data).

    Polygons where they hold the exact raster, with holes on slits; else, and for crowds, RLE.

    Raises:
        DataError: values JSON cannot hold.
    """
    categories = {category.id: category for category in export.categories}
    expected: Rasters = {}
    with target.open("xb") as file:
        file.write(_head(target, export) + b'"annotations":[')
        separator = b"\n"
        for image, name in zip(export.images, export.names, strict=True):
            rasters = expected[name] = []
            for number, instance in image.instances:
                rle = export.raster(image, number, instance)
                rasters.append(rle)
                row = annotation(image, number, instance, categories, rle, export.outlines)
                file.write(separator + _dump(target, row, f"annotation {number}"))
                separator = b",\n"
        file.write(b"\n]}\n")
    return Written(expected, _losses(export))


def annotation(
    image: ExportImage,
    number: int,
    instance: Instance,
    categories: Mapping[str, Category],
    rle: geo.Rle,
    outlines: Outlines,
) -> dict[str, Any]:
    """One row of `annotations`; `rle` is the instance's raster."""
    known: dict[str, Any] = {
        "id": number,
        "image_id": image.record.coco_id,
        "category_id": categories[instance.category].coco_id,
        "segmentation": _segmentation(instance, rle, outlines),
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


def read_back_coco(target: Path, export: Export) -> Rasters:
    """The rasters any user of pycocotools gets, by file name, in the order of the file."""
    tree = orjson.loads(target.read_bytes())
    reader = COCO()  # given a file name it would print to the standard output
    reader.imgs = {row["id"]: row for row in tree["images"]}
    found: Rasters = {row["file_name"]: [] for row in tree["images"]}
    for row in tree["annotations"]:
        rle = reader.annToRLE(row)
        if isinstance(rle["counts"], str):
            rle = {"size": rle["size"], "counts": rle["counts"].encode("ascii")}
        found[reader.imgs[row["image_id"]]["file_name"]].append(rle)
    return found


def _head(target: Path, export: Export) -> bytes:
    """Everything before the annotations, an object left open."""
    tree = {
        "info": {"description": "Labels exported by Herdmark", "version": "1"},
        "licenses": [],
        "images": [
            {
                **image.record.extras,
                "id": image.record.coco_id,
                "file_name": name,
                "width": image.record.width,
                "height": image.record.height,
            }
            for image, name in zip(export.images, export.names, strict=True)
        ],
        "categories": [
            {"supercategory": "", **category.extras, "id": category.coco_id, "name": category.name}
            for category in export.categories
        ],
    }
    return _dump(target, tree, "images")[:-1] + b",\n"


def _segmentation(
    instance: Instance, rle: geo.Rle, outlines: Outlines
) -> list[list[float]] | dict[str, Any]:
    """Polygons as stored, else of the exact outline, whichever rasterizes exactly; else the RLE."""
    # Readers expect crowds as RLE.
    if outlines == "polygons" and not instance.iscrowd:
        rings = exact_rings(instance.parts, rle, separate_rings)
        if rings is not None:
            return [_compact(ring) for ring in rings]
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def _compact(ring: Ring) -> list[float]:
    """Flat coordinates, whole rings as integers: the outline of a mask has no others."""
    whole = (ring % 1 == 0).all()
    flat: list[float] = (ring.astype(np.int64) if whole else ring).ravel().tolist()
    return flat


def _losses(export: Export) -> tuple[str, ...]:
    partly = sum(image.verified is not None and image.verified != () for image in export.images)
    drafts = sum(image.verified == () for image in export.images)
    found = []
    if partly:
        found.append(f"COCO cannot say that {partly} images are verified in part only")
    if drafts:
        found.append(f"COCO cannot say that {drafts} images are drafts")
    return tuple(found)


def _dump(target: Path, value: Mapping[str, Any], index: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits are JSON, too
        pass
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        why = "an attribute cannot be written as JSON"
        raise DataError(target, why, "remove it", index=index, field="attributes") from error
