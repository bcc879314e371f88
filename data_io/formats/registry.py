"""All formats by the name the command line gives them, and which one a source is."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from data_io import video
from data_io.errors import DataError
from data_io.formats.cityscapes import read_cityscapes
from data_io.formats.cityscapes_write import write_cityscapes
from data_io.formats.coco import read_coco
from data_io.formats.coco_write import read_back_coco, write_coco
from data_io.formats.cvat import read_cvat
from data_io.formats.cvat_write import write_cvat
from data_io.formats.export import Format
from data_io.formats.labelme import read_labelme, write_labelme
from data_io.formats.masks import read_masks, write_masks
from data_io.formats.results import read_back_results, write_results
from data_io.formats.voc import read_voc, write_voc
from data_io.formats.yolo import read_yolo, write_yolo
from data_io.images import EXTENSIONS

FORMATS = {
    one.name: one
    for one in (
        Format("coco", "COCO", False, write_coco, read_coco, read_back_coco),
        Format("results", "COCO results", False, write_results, None, read_back_results),
        Format("voc", "Pascal VOC", True, write_voc, read_voc),
        Format("yolo", "YOLO-seg", True, write_yolo, read_yolo),
        Format("labelme", "Labelme", True, write_labelme, read_labelme),
        Format("cvat", "CVAT for images", False, write_cvat, read_cvat),
        Format("cityscapes", "Cityscapes", True, write_cityscapes, read_cityscapes),
        Format("masks", "mask PNGs", True, write_masks, read_masks),
    )
}
SOURCES: tuple[str, ...] = ("images", "video", *(n for n, one in FORMATS.items() if one.read))


def detect(source: Path) -> str:
    """Which of `SOURCES` a file or folder is.

    A folder of photos that also holds labels counts as the labels only when their lay-out is
    unmistakable; loose mask PNGs look like photos and have to be named.

    Raises:
        DataError: there is nothing, or it cannot be told.
    """
    if not source.exists():
        raise DataError(source, "there is no such file or folder", "check the path")
    if source.is_dir():
        return _detect_folder(source)
    suffix = source.suffix.lower()
    known = {".json": "coco", ".xml": "cvat", ".yaml": "yolo", ".yml": "yolo"}
    if suffix in EXTENSIONS:
        return "images"
    if suffix in video.EXTENSIONS:
        return "video"
    if suffix == ".json" and _is_labelme(source):
        return "labelme"
    if suffix in known:
        return known[suffix]
    why = "is neither a folder, an image, a video nor a label file"
    raise DataError(source, why, "name its format with --format")


def _detect_folder(folder: Path) -> str:
    marks = {
        "SegmentationClass": "voc",
        "SegmentationObject": "voc",
        "gtFine": "cityscapes",
        "data.yaml": "yolo",
        "masks.json": "masks",
    }
    for name, kind in marks.items():
        if folder.joinpath(name).exists():
            return kind
    if any(_is_labelme(file) for file in islice(folder.rglob("*.json"), 3)):
        return "labelme"
    return "images"


def _is_labelme(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            head = stream.read(1 << 16)
    except OSError:
        return False
    return b'"shapes"' in head
