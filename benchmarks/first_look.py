"""Does a first look tell images with animals from those without, before anything is labeled?

Sets: MSRC and COCO photographs, of which some show a bird or mammal; the pieces of the drone's
flight that `benchmarks.simulate` has labeled, of which some are empty. Classes and cells of
`model.first_look` were chosen on the photographs. Prints, and appends to the results: the chance
that an image with animals gets the higher number (AUROC), the shares taken for images with
animals, and the median time of a look.

    python -m benchmarks.first_look --data ../shared/data
    python -m benchmarks.first_look --show
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, append, provenance, records, tree
from benchmarks.simulate import drone
from benchmarks.study import records_parser
from data_io.images import read
from model.first_look import FirstLook, first_look_file
from model.group_order import RankConfig

RESULTS = ROOT / "benchmarks/results/first_look.jsonl"
PHOTOGRAPHS = {"msrc": "msrc_v2", "coco": "coco_small"}
SHOWN = {"bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
WARM_UP = 3  # looks whose time does not count


def main(arguments: Sequence[str] | None = None) -> int:
    options = records_parser(__doc__, RESULTS).parse_args(arguments)
    if not options.show:
        with tempfile.TemporaryDirectory(prefix="first-look-") as scratch:
            network = FirstLook(first_look_file(Path(scratch)), 1)
            for name in (*PHOTOGRAPHS, "drone"):
                append(options.out, measured(network, name, options.data, Path(scratch)))
    print_table(options.out)
    return 0


def measured(network: FirstLook, name: str, data: Path, scratch: Path) -> dict[str, Any]:
    """The record of one set."""
    chances: list[float] = []
    shows: list[bool] = []
    seconds = []
    for path, truth in drawn(name, data, scratch):
        pixels = read(path)
        began = time.perf_counter()
        chances.append(network.at(pixels)[1])
        seconds.append(time.perf_counter() - began)
        shows.append(truth)
    seen, truth_of = np.array(chances), np.array(shows)
    taken = seen >= RankConfig().empty
    return {
        "study": "first_look",
        "set": name,
        "images": len(seen),
        "empty": int((~truth_of).sum()),
        "auroc": auroc(seen[truth_of], seen[~truth_of]),
        "taken": float(taken[truth_of].mean()),
        "taken_empty": float(taken[~truth_of].mean()),
        "ms": 1000 * float(np.median(seconds[WARM_UP:])),
        "model": tree("model"),
        **provenance(0),
    }


def drawn(name: str, data: Path, scratch: Path) -> Iterator[tuple[Path, bool]]:
    """The images of a set, and whether each shows an animal."""
    if name in PHOTOGRAPHS:
        folder = data / PHOTOGRAPHS[name]
        said = json.loads((folder / "annotations.json").read_text())
        known = {one["id"] for one in said["categories"] if one["name"] in SHOWN}
        rows = said["annotations"]
        with_animals = {one["image_id"] for one in rows if one["category_id"] in known}
        for one in said["images"]:
            yield folder / "images" / one["file_name"], one["id"] in with_animals
        return
    for image in drone(data, scratch).pool:
        yield Path(image.path), bool(image.animals)


def auroc(high: np.ndarray, low: np.ndarray) -> float:
    """Chance that one of `high` is above one of `low`; equal ones count half."""
    above = (high[:, None] > low).mean()
    return float(above + (high[:, None] == low).mean() / 2)


def print_table(out: Path) -> None:
    """The newest record of every set."""
    newest = {row["set"]: row for row in records(out)}
    print("| set | images | without animals | AUROC | taken for images with animals | ms |")
    print("|---|---|---|---|---|---|")
    for name, row in newest.items():
        taken = f"{row['taken']:.0%} of those, {row['taken_empty']:.0%} of the empty ones"
        counts = f"{row['images']} | {row['empty']}"
        print(f"| {name} | {counts} | {row['auroc']:.3f} | {taken} | {row['ms']:.0f} |")
    print(f"\nmodel code: {', '.join(sorted({row['model'] for row in newest.values()}))}")


if __name__ == "__main__":
    raise SystemExit(main())
