"""What pycocotools makes of our COCO file: evaluated against itself it has to be perfect."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from data_io.errors import DataError

MOST_AN_IMAGE = 10_000  # instances an image that the evaluation looks at


@dataclass(frozen=True)
class Check:
    """Segmentation AP of a file against itself; None when it holds no instance but crowds."""

    ap: float | None
    ap50: float | None
    instances: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def check_coco(file: str | Path) -> Check:
    """Evaluate a COCO file against itself with pycocotools.

    Raises:
        DataError: the file is not perfect against itself, which would be a fault of the writer.
    """
    path = Path(file)
    tree = json.loads(path.read_bytes())
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth = COCO(str(path))
        animals = [row for row in tree["annotations"] if not row["iscrowd"]]
        if not animals:
            return Check(None, None, 0)
        found = truth.loadRes([_result(row, truth) for row in animals])
        scores = COCOeval(truth, found, "segm")
        scores.params.maxDets = [1, 10, MOST_AN_IMAGE]
        # Every size counts: the areas COCO sorts by leave out animals beyond 1e10 pixels only.
        scores.evaluate()
        scores.accumulate()
    precision = scores.eval["precision"][:, :, :, 0, -1]
    measured = precision[precision > -1]
    half = precision[0][precision[0] > -1]
    ap, ap50 = float(measured.mean()), float(half.mean())
    if ap < 1.0:
        why = f"pycocotools gives the file AP {ap:.4f} against itself instead of 1"
        raise DataError(path, why, "report this as a fault of Herdmark")
    return Check(ap, ap50, len(animals))


def _result(row: dict[str, Any], truth: COCO) -> dict[str, Any]:
    rle = truth.annToRLE(row)
    return {
        "image_id": row["image_id"],
        "category_id": row["category_id"],
        "segmentation": rle,
        "score": 1.0,
    }
