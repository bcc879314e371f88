"""Time COCO files of the size people have: ``python -m benchmarks.coco_speed``.

10,000 images of 960 x 540 with 20 outlines of 34 vertices each go into an empty project and out
again through the command line, each command a process of its own. Images are hard links to 20
synthetic pictures, so the disk's cache is warm; every one is decoded and hashed all the same.
Beside them, in the same run: pycocotools reading the same file and rasterizing every outline,
supervision reading it (where `make interop` has set up an environment for it), and the exact
outline of masks beside `cv2.findContours` on the same crops. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools.coco import COCO

from benchmarks.common import ROOT, provenance
from data_io import geometry as geo
from data_io.types import Part, Ring

WIDTH, HEIGHT = 960, 540
PICTURES, VERTICES, AN_IMAGE = 20, 34, 20


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="coco-speed-") as scratch:
        folder = Path(scratch)
        file = write_labels(folder, options.images, options.seed)
        result = {
            "benchmark": "coco_speed",
            "images": options.images,
            "outlines": options.images * AN_IMAGE,
            "megabytes": round(file.stat().st_size / 1e6, 1),
            "import": command("import", folder / "project", file, "--images", folder / "images"),
            "export": command("export", folder / "project", folder / "out.json"),
            "pycocotools_read_and_rasterize_seconds": pycocotools_seconds(file),
            "supervision_seconds_for_200_images": supervision_seconds(file, folder / "images"),
            "outlines_of_masks": outlines_of_masks(options.seed),
            **provenance(options.seed),
        }
    print(json.dumps(result))
    return 0


def write_labels(folder: Path, count: int, seed: int) -> Path:
    """The pictures and a COCO file of ellipse-like animals."""
    rng = np.random.default_rng(seed)
    images = folder / "images"
    images.mkdir()
    for k in range(PICTURES):
        pixels = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 3)
        cv2.imwrite(str(folder / f"{k}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
    for k in range(count):
        os.link(folder / f"{k % PICTURES}.jpg", images / f"{k:06d}.jpg")
    shapes = [outline(animal(rng)) for _ in range(1000)]
    rows = [
        {
            "id": 1 + k,
            "image_id": 1 + k // AN_IMAGE,
            "category_id": 1,
            "iscrowd": 0,
            **shapes[k % len(shapes)],
        }
        for k in range(count * AN_IMAGE)
    ]
    listed = [
        {"id": 1 + k, "file_name": f"{k:06d}.jpg", "width": WIDTH, "height": HEIGHT}
        for k in range(count)
    ]
    categories = [{"id": 1, "name": "cow"}]
    file = folder / "labels.json"
    file.write_text(json.dumps({"images": listed, "annotations": rows, "categories": categories}))
    return file


def outline(ring: Ring) -> dict[str, Any]:
    """The keys of an annotation that follow from its ring."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    box = np.round(np.concatenate([low, high - low]), 1).tolist()
    area = round(float(cv2.contourArea(ring.astype(np.float32))), 1)
    return {"segmentation": [ring.ravel().tolist()], "area": area, "bbox": box}


def animal(rng: np.random.Generator) -> Ring:
    """A wobbly ellipse inside the image, coordinates with one decimal as editors write them."""
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    radius = rng.uniform(20, 50) * (1 + 0.15 * rng.standard_normal(VERTICES).clip(-2, 2))
    middle = rng.uniform((60, 60), (WIDTH - 60, HEIGHT - 60))
    points = middle + np.stack([np.cos(turn) * radius, 0.6 * np.sin(turn) * radius], axis=1)
    return np.asarray(np.round(points.clip(0, (WIDTH, HEIGHT)), 1))


def command(name: str, *arguments: object) -> dict[str, Any]:
    """Seconds and peak memory of one command, and the counts of its answer."""
    line = [sys.executable, str(ROOT / "launch.py"), name, *map(str, arguments), "--json"]
    began = time.perf_counter()
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    seconds = time.perf_counter() - began
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    # Linux counts in KiB; the largest child so far, and every later one needs less.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "seconds": round(seconds, 2),
        "peak_mb_so_far": round(peak),
        "images": answer["images"],
        "instances": answer["instances"],
    }


def pycocotools_seconds(file: Path) -> float:
    """Reading the file and rasterizing every outline with pycocotools alone."""
    began = time.perf_counter()
    reader = COCO()
    reader.dataset = json.loads(file.read_bytes())
    reader.createIndex()
    for row in reader.dataset["annotations"]:
        reader.annToRLE(row)
    return round(time.perf_counter() - began, 2)


def supervision_seconds(file: Path, images: Path) -> float | None:
    """Reading the first 200 images with supervision; None without its environment.

    It makes a full-frame mask of every outline, half a megabyte each: all would need 100 GB.
    """
    python = ROOT / ".venv-interop" / "bin" / "python"
    if not python.exists():
        return None
    code = (
        "import sys, time, supervision as sv; began = time.perf_counter();"
        "sv.DetectionDataset.from_coco(sys.argv[2], sys.argv[1]);"
        "print(time.perf_counter() - began)"
    )
    tree = json.loads(file.read_text())
    few = file.with_name("few.json")
    rows = [row for row in tree["annotations"] if row["image_id"] <= 200]
    few.write_text(json.dumps({**tree, "images": tree["images"][:200], "annotations": rows}))
    command = [str(python), "-W", "ignore", "-c", code, str(few), str(images)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return round(float(done.stdout.split()[-1]), 2)


def outlines_of_masks(seed: int, count: int = 300, rounds: int = 7) -> dict[str, float]:
    """Microseconds a mask, interleaved; both work on the same crops."""
    rng = np.random.default_rng(seed)
    crops = []
    for _ in range(count):
        ring = animal(rng)
        ring = ring - np.floor(ring.min(axis=0)) + 1
        width, height = (int(v) + 2 for v in ring.max(axis=0))
        crops.append(geo.mask_of_parts((Part(ring),), height, width).astype(np.uint8))
    ours, theirs = [], []
    for _ in range(1 + rounds):
        began = time.perf_counter()
        for crop in crops:
            geo.parts_of_mask(crop)
        middle = time.perf_counter()
        for crop in crops:
            cv2.findContours(crop, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        ours.append((middle - began) / count * 1e6)
        theirs.append((time.perf_counter() - middle) / count * 1e6)
    exact, contours = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return {
        "exact_us": round(exact, 1),
        "find_contours_us": round(contours, 1),
        "ratio": round(exact / contours, 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
