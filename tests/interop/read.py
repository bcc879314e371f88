"""Read what `write.py` wrote with other people's readers; run in an environment of their own.

Prints one line a reader: instances, least and mean IoU with the truth. Readers that draw polygons
with OpenCV color every pixel their outline touches: they may differ by a rim of one pixel. All
others have to be exact. Exit code 1 when one disagrees. Labelme has no reader here: supervision's
knows neither its groups nor its masks.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

EXACT, RIM = 0, 1  # pixels by which masks may be larger or smaller
BRIDGES = ("supervision, YOLO-seg",)  # OpenCV colors the bridges between an animal's parts as well
Masks = dict[str, list[np.ndarray]]


def pycocotools_coco(folder: Path) -> Masks:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        reader = COCO(str(folder / "coco.json"))
    found: Masks = {image["file_name"]: [] for image in reader.imgs.values()}
    for row in reader.anns.values():
        found[reader.imgs[row["image_id"]]["file_name"]].append(reader.annToMask(row) > 0)
    return found


def supervision_of(dataset: object) -> Masks:
    found: Masks = {}
    for path, _, made in dataset:  # type: ignore[attr-defined]
        found[Path(path).name] = [] if made.mask is None else list(np.asarray(made.mask, bool))
    return found


def supervision_coco(folder: Path) -> Masks:
    import supervision as sv

    return supervision_of(
        sv.DetectionDataset.from_coco(
            str(folder / "images"), str(folder / "coco.json"), force_masks=True
        )
    )


def supervision_yolo(folder: Path) -> Masks:
    import supervision as sv

    return supervision_of(
        sv.DetectionDataset.from_yolo(
            str(folder / "images"),
            str(folder / "yolo" / "labels"),
            str(folder / "yolo" / "data.yaml"),
            force_masks=True,
        )
    )


def datumaro_masks(source: Path, format: str) -> Masks:
    """Masks and polygons of each item, in the file's order."""
    import datumaro as dm
    from pycocotools import mask as coco_mask

    found: Masks = {}
    for item in dm.Dataset.import_from(str(source), format):
        height, width = item.media.size
        pieces: dict[object, np.ndarray] = {}
        for number, shape in enumerate(item.annotations):
            if shape.type is dm.AnnotationType.mask:
                mask = np.asarray(shape.image, bool)
            elif shape.type is dm.AnnotationType.polygon:
                (rle,) = coco_mask.frPyObjects([list(shape.points)], height, width)
                mask = coco_mask.decode(rle) > 0
            else:
                continue
            key = ("group", shape.group) if shape.group else number
            pieces[key] = mask | pieces[key] if key in pieces else mask
        found[f"{item.id.rpartition('/')[2]}.jpg"] = list(pieces.values())
    return found


def datumaro_coco(folder: Path) -> Masks:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        shutil.copytree(folder / "images", root / "images" / "train")
        (root / "annotations").mkdir()
        shutil.copy(folder / "coco.json", root / "annotations" / "instances_train.json")
        return datumaro_masks(root, "coco_instances")


def datumaro_voc(folder: Path) -> Masks:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "voc"
        shutil.copytree(folder / "voc", root)
        shutil.copytree(folder / "images", root / "JPEGImages")
        return datumaro_masks(root, "voc_instance_segmentation")


def datumaro_cvat(folder: Path) -> Masks:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        shutil.copytree(folder / "images", root / "images")
        shutil.copy(folder / "cvat.xml", root / "annotations.xml")
        return datumaro_masks(root, "cvat")


READERS: dict[str, tuple[Callable[[Path], Masks], int]] = {
    "pycocotools, COCO": (pycocotools_coco, EXACT),
    "supervision, COCO": (supervision_coco, RIM),
    "supervision, YOLO-seg": (supervision_yolo, RIM),
    "datumaro, COCO": (datumaro_coco, EXACT),
    "datumaro, Pascal VOC": (datumaro_voc, EXACT),
    "datumaro, CVAT": (datumaro_cvat, EXACT),
}


def visible(masks: np.ndarray) -> list[np.ndarray]:
    """What is left of each mask under the later ones, without those that are hidden."""
    above = np.zeros(masks.shape[1:], bool)
    left = []
    for mask in masks[::-1]:
        left.append(mask & ~above)
        above |= mask
    return [mask for mask in left[::-1] if mask.any()]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks of one size."""
    return float(np.count_nonzero(a & b) / np.count_nonzero(a | b))


def in_pieces(mask: np.ndarray) -> bool:
    """Whether a mask has several parts."""
    return bool(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] > 2)


def agrees(truth: np.ndarray, found: np.ndarray, rim: int) -> bool:
    """Whether one mask is the other but for a rim of so many pixels."""
    kernel = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    most = cv2.dilate(truth.astype(np.uint8), kernel) > 0
    least = cv2.erode(truth.astype(np.uint8), kernel) > 0
    return not (found & ~most).any() and not (least & ~found).any()


def main(folder: Path) -> int:
    """Compare every reader; returns the exit code."""
    failed = False
    with np.load(folder / "truth.npz") as stored:
        truth = {name: stored[name] for name in stored.files}
    for name, (read, rim) in READERS.items():
        try:
            found = read(folder)
        except Exception as error:
            failed, told = True, f"failed: {type(error).__name__}: {str(error)[:200]}"
        else:
            values, counts, good = [], [0, 0], True
            for image, masks in truth.items():
                real = visible(masks) if name.endswith("VOC") else list(masks)
                others = found.get(image, [])
                counts = [counts[0] + len(real), counts[1] + len(others)]
                for mask in real:
                    best = max(others, key=lambda other: iou(mask, other), default=~mask)
                    values.append(iou(mask, best))
                    good &= agrees(mask, best, rim) or (name in BRIDGES and in_pieces(mask))
            good &= counts[0] == counts[1]
            failed |= not good
            told = f"{counts[1]} of {counts[0]} instances, IoU {min(values):.4f} at worst,"
            told += f" {np.mean(values):.4f} in the mean{'' if good else '  DISAGREES'}"
        print(f"{name}: {told}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
