"""A herd in every format, the truth beside it: ``python -m tests.interop.write FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from data_io import geometry as geo
from data_io.formats.export import write_labels
from data_io.formats.labels import Export, ExportImage
from data_io.formats.registry import FORMATS
from data_io.scenes import CAMERAS, scene
from data_io.types import Category, ImageRecord, Instance

CATEGORY = Category("c", "cow", "#e69f00", 1)


def main(folder: Path) -> None:
    """``images/``, one folder or file a format, and ``truth.npz``: masks by image, as stacked."""
    images, truth, numbers = [], {}, iter(range(1, 10_000))
    (folder / "images").mkdir(parents=True)
    for k, camera in enumerate(list(CAMERAS)[:3]):
        drawn = scene(7 + k, camera)
        name = f"{k}.jpg"
        Image.fromarray(drawn.image).save(folder / "images" / name, quality=92)
        height, width = drawn.image.shape[:2]
        herd = [Instance(f"{k}-{i}", "c", geo.parts_of_mask(m)) for i, m in enumerate(drawn.masks)]
        truth[name] = np.stack([geo.mask_of_parts(one.parts, height, width) for one in herd])
        record = ImageRecord(str(k), name, width, height, "", camera, coco_id=1 + k)
        images.append(ExportImage(record, [(next(numbers), one) for one in herd]))
    export = Export(images, [image.record.path for image in images], [CATEGORY])
    for name, format in FORMATS.items():
        suffix = {"coco": ".json", "results": ".json", "cvat": ".xml"}.get(name, "")
        report = write_labels(format, folder / f"{name}{suffix}", export)
        print(json.dumps({"format": name, "iou_min": report.iou_min, "losses": report.losses}))
    np.savez_compressed(folder / "truth.npz", **truth)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
