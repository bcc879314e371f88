"""Outlines with fewer vertices on real labels: ``python -m benchmarks.compact [--data DIR]``.

The objects of every COCO file ``DIR/*/annotations.json`` are outlined exactly, by Douglas-Peucker
(`simplify`) and with moved vertices (`compact`), the latter two at IoU 0.99. Prints a Markdown
table and one JSON object: rasters kept, vertices, milliseconds an object, commit, device.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, percentile, provenance
from data_io import geometry as geo
from data_io.compact import compact
from data_io.formats.coco import read_coco
from data_io.simplify import simplify, vertex_count
from data_io.types import Parts
from model.metrics import boundary, boundary_distance

BUDGET = 0.99
Method = Callable[[Parts, int, int], Parts]

METHODS: dict[str, Method] = {
    "exact": lambda exact, height, width: exact,
    "simplify": lambda exact, height, width: simplify(exact, height, width, BUDGET),
    "compact": lambda exact, height, width: compact(exact, height, width, BUDGET),
}


@dataclass
class Figures:
    """One figure an object."""

    iou: list[float] = field(default_factory=list)
    boundary_iou: list[float] = field(default_factory=list)
    vertices: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def add(self, rle: geo.Rle, method: Method) -> None:
        """Measure one object, from its raster on."""
        height, width = rle["size"]
        start = time.perf_counter()
        parts = method(geo.parts_of_rle(rle), height, width)
        self.milliseconds.append((time.perf_counter() - start) * 1000)
        raster = geo.rle_of_parts(parts, height, width)
        self.iou.append(geo.rle_iou(rle, raster))
        self.boundary_iou.append(boundary_iou(rle, raster))
        self.vertices.append(vertex_count(parts))

    def extend(self, other: Figures) -> None:
        """Take over the figures of another set."""
        for name, values in vars(other).items():
            getattr(self, name).extend(values)

    def summary(self) -> dict[str, float]:
        """The row of a set."""
        return {
            "objects": len(self.iou),
            "iou_min": round(min(self.iou), 4),
            "iou_mean": round(float(np.mean(self.iou)), 4),
            "boundary_iou_mean": round(float(np.mean(self.boundary_iou)), 4),
            "vertices_median": percentile(self.vertices, 50),
            "vertices_p90": round(percentile(self.vertices, 90), 1),
            "median_ms": round(percentile(self.milliseconds, 50), 2),
            "mean_ms": round(float(np.mean(self.milliseconds)), 2),
        }


def boundary_iou(a: geo.Rle, b: geo.Rle) -> float:
    """Cheng et al. 2021 for two masks of one image, not both empty."""
    distance = boundary_distance(*a["size"])
    window = geo.window_of_rle(geo.rle_union([a, b]), distance + 1)
    one, other = (
        boundary(np.ascontiguousarray(geo.crop_of_rle(m, window)), distance) for m in (a, b)
    )
    return float((one & other).sum() / (one | other).sum())


def rasters(file: Path) -> Iterator[geo.Rle]:
    """The objects of a COCO file that cover a pixel."""
    for image in read_coco(file).images:
        for instance in image.instances:
            rle = geo.rle_of_parts(instance.parts, image.height, image.width)
            if geo.area_of_rle(rle):
                yield rle


def measure(files: list[Path]) -> dict[str, dict[str, dict[str, float]]]:
    """Set -> method -> row; the set ``all`` pools the objects of the others."""
    pooled = {name: Figures() for name in METHODS}
    rows = {}
    for file in files:
        figures = {name: Figures() for name in METHODS}
        for rle in rasters(file):
            for name, method in METHODS.items():
                figures[name].add(rle, method)
        if not figures["exact"].iou:
            continue
        rows[file.parent.name] = {name: found.summary() for name, found in figures.items()}
        for name, found in figures.items():
            pooled[name].extend(found)
    if rows:
        rows["all"] = {name: found.summary() for name, found in pooled.items()}
    return rows


def table(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| set | outline | objects | IoU min / mean | boundary IoU | vertices median / p90 | ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, methods in rows.items():
        for method, row in methods.items():
            cells: list[Any] = [
                name,
                method,
                row["objects"],
                f"{row['iou_min']:.4f} / {row['iou_mean']:.4f}",
                f"{row['boundary_iou_mean']:.4f}",
                f"{row['vertices_median']:g} / {row['vertices_p90']:g}",
                row["median_ms"],
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the arguments, print the table and the JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sets", default="*", help="folders of the data, e.g. 'cattle_*'")
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob(f"{arguments.sets}/annotations.json"))
    rows = measure(files)
    if not rows:
        parser.error(f"no COCO file with an object at {arguments.data}/{arguments.sets}")
    print(table(rows))
    print(json.dumps({"benchmark": "compact", "budget": BUDGET, "sets": rows, **provenance(0)}))


if __name__ == "__main__":
    main()
