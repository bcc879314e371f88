"""What does an encoder in eight bits cost in animals, and what does it save in time?

Versions named SET-METHOD-LABELS-SEED (`benchmarks.instances --versions`, `benchmarks.clicks`) get a
network in eight bits as a training of the product gives it, and both networks are scored on the
test images of their set. Prints a line a version, and appends it.

    python -m benchmarks.quantized --data ../shared/data --versions FOLDER
    python -m benchmarks.quantized --show
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.click_objects import FOLDERS
from benchmarks.common import ROOT, append, provenance, records, tree
from benchmarks.instances import FIGURES, herds, score
from benchmarks.semi_sets import Material, cattle
from benchmarks.study import versions_asked, versions_parser
from model.predictor import Predictor
from model.quantize import add, pictures
from model.quantized import QUANTIZED

RESULTS = ROOT / "benchmarks/results/quantized.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = versions_parser(__doc__, RESULTS)
    options = parser.parse_args(arguments)
    for version in versions_asked(parser, options):
        append(options.out, measure(options.data, version))
    print_table(records(options.out))
    return 0


def measure(data: Path, version: Path) -> dict[str, Any]:
    """The figures of both networks of a version."""
    with tempfile.TemporaryDirectory(prefix="quantized-") as scratch:
        copy = Path(scratch) / version.name
        shutil.copytree(version, copy)
        material = drawn(data, version.name, Path(scratch))
        plain = score(Predictor.load(copy, device="cpu", threads=1), material)["pieces"]
        shown, start = pictures([*material.labeled, *material.unlabeled]), time.process_time()
        judged, seconds = add(copy, shown), time.process_time() - start
        quick = score(Predictor.load(copy, device="cpu", threads=1), material)["pieces"]
        size = (copy / QUANTIZED).stat().st_size if judged.kept else 0
    return {
        "study": "quantized",
        "version": version.name,
        "model": tree("model"),
        **provenance(0),
        **vars(judged),
        "bytes": size,
        "seconds": round(seconds, 1),
        "images": len(material.test),
        "plain": plain,
        "quick": quick,
    }


def drawn(data: Path, version: str, folder: Path) -> Material:
    """What a version was trained on, and its test."""
    name, _, labels, seed = version.split("-")
    if name == "herds":
        return herds(folder, int(labels), int(seed))
    return cattle(FOLDERS[name], int(labels))(data, int(seed))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line a version, its newest record: 32 bits / 8 bits."""
    print(
        "| version | model code | images | alike | time | made in | " + " | ".join(FIGURES) + " |"
    )
    print("|---" * (6 + len(FIGURES)) + "|")
    for row in {row["version"]: row for row in rows}.values():
        alike = "–" if row["alike"] is None else f"{row['alike']:.3f}"
        share = f"{row['share']:.2f}" + ("" if row["kept"] else " (not kept)")
        made = f"{row['seconds']:.0f} s"
        cells = [row["version"], row["model"], str(row["images"]), alike, share, made]
        cells += [f"{row['plain'][name]:.3f} / {row['quick'][name]:.3f}" for name in FIGURES]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    raise SystemExit(main())
