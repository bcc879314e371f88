"""U2PL beside supervised training at equal wall time, from five labeled tiles of one drone flight.

Everything goes through the command line a user has: import, train --wait, propose --all,
export --from proposals, evaluate on the later frames of the same flight (the `test` block).
Figures are within one flight: they say nothing about another camera. Each finished run is appended
to the results file at once; started again, the study goes on where it stopped. A run belongs to the
state of `model/` it was made with: after a change there, the study begins anew.

    python -m benchmarks.within_flight --data ../shared/data --minutes 5
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, append, provenance, records, tree

FOLDER = "cattle_drone_yak"
LABELED = 5
METHODS = ("u2pl", "supervised")
KEYS = ("iou", "boundary_iou", "ap50", "pq", "count_mae", "error_auroc", "error_recall_at_5")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if not options.show:
        done = {(r["method"], r["seed"]) for r in made_by(tree("model"), options)}
        for seed in options.seeds:
            for method in METHODS:
                if (method, seed) not in done:
                    append(options.out, run(options.data, method, seed, options.minutes))
    newest = [r["model"] for r in records(options.out) if "model" in r][-1:]
    print(f"model code {''.join(newest)}")
    print_table(made_by("".join(newest), options))
    return 0


def made_by(model: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The records of runs of this length by one state of the model code."""
    wanted = (model, options.minutes)
    return [r for r in records(options.out) if (r.get("model"), r["minutes"]) == wanted]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(), help="folder with cattle_drone_yak")
    parser.add_argument("--show", action="store_true", help="print the newest table, run nothing")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/within_flight.jsonl")
    options = parser.parse_args(arguments)
    if not options.show and not (options.data / FOLDER / "annotations.json").exists():
        parser.error(f"{options.data / FOLDER} has no annotations.json; name the data folder")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    return options


def run(data: Path, method: str, seed: int, minutes: float) -> dict[str, Any]:
    """One project from import to evaluation; returns the record of the run."""
    with tempfile.TemporaryDirectory(prefix="within-flight-") as scratch:
        folder = Path(scratch)
        blocks = json.loads((data / "blocks.json").read_text())[FOLDER]
        labels = write_subset(data, spread(blocks["pool"], LABELED), folder / "labels.json")
        test = write_subset(data, blocks["test"], folder / "test.json")
        pool = link_images(data, blocks["pool"], folder / "pool")
        project = folder / "project"
        command("import", project, labels, "--images", pool)
        command("import", project, pool)
        trained = command(
            "train", project, "--method", method, "--minutes", minutes, "--seed", seed, "--wait"
        )
        proposed = command("propose", project, "--all")
        exported = command(
            "export", project, folder / "out.json", "--format", "coco", "--from", "proposals"
        )
        scores = command("evaluate", project, "--coco", test, "--images", data / FOLDER / "images")
    return {
        "study": "within_flight",
        "method": method,
        "minutes": minutes,
        "model": tree("model"),
        **provenance(seed),
        "steps": trained["steps"],
        "kept": trained["kept"],
        "proposed": proposed,
        "exported": {key: exported[key] for key in ("images", "instances")},
        **{key: scores[key] for key in (*KEYS, "seconds_per_image")},
    }


def command(name: str, *arguments: object) -> dict[str, Any]:
    """Run one command of launch.py and return its JSON answer; a failure ends the study."""
    line = [sys.executable, str(ROOT / "launch.py"), name, *map(str, arguments), "--json"]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def spread(names: Sequence[str], count: int) -> list[str]:
    """`count` names evenly spread over the list, first and last included."""
    return [names[round(i * (len(names) - 1) / (count - 1))] for i in range(count)]


def write_subset(data: Path, names: Sequence[str], target: Path) -> Path:
    """A COCO file with only these images, as a person who labeled just them would have it."""
    source = json.loads((data / FOLDER / "annotations.json").read_text())
    images = [image for image in source["images"] if image["file_name"] in set(names)]
    ids = {image["id"] for image in images}
    annotations = [a for a in source["annotations"] if a["image_id"] in ids]
    target.write_text(json.dumps({**source, "images": images, "annotations": annotations}))
    return target


def link_images(data: Path, names: Sequence[str], folder: Path) -> Path:
    folder.mkdir()
    for name in names:
        shutil.copy(data / FOLDER / "images" / name, folder / name)
    return folder


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Mean and range over seeds of each method, as a Markdown table."""
    print("| method | seeds | " + " | ".join(KEYS) + " |")
    print("|---" * (len(KEYS) + 2) + "|")
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        if not mine:
            continue
        cells = [spread_cell([row[key] for row in mine]) for key in KEYS]
        print(f"| {method} | {len(mine)} | " + " | ".join(cells) + " |")


def spread_cell(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
