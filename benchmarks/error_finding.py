"""Does uncertainty find errors? The stored map and what it is made of, beside plain distance.

A version proposes on images that nobody trained on: later frames of the drone flight and of the
barn camera, and synthetic herds under two cameras that no training saw. Scored is how well each
signal points at pixels whose class is wrong, image by image: AUROC of the whole image and of the
band of 15 px around the predicted outlines, average precision, and the share of wrong pixels, and
of gross ones (more than 3 px from the true outline), inside the 5 % most uncertain area. Signals
are read as they are stored, stride 4 and 8 bits; distance to the predicted outline and chance have
full resolution. "former" is the map before decision 32: entropy of the middles of cells, or doubt
whose they are where that is larger. "regions" are the places a person is shown: area, and the share
of both errors they cover.

The temperature is fitted to images that were neither labeled for the training nor are tested; U2PL
saw them as unlabeled ones. The calibration error is that of all test pixels together (every third
of them along both axes), and of the band alone.

Versions are taken from FOLDER, where they are named SET-METHOD-LABELS-SEED, and trained into it
otherwise (as `benchmarks.instances`). Finished runs are appended at once; started again, the study
goes on. Weights of the map were chosen with label draw 10 on unlabeled images of the pool; draws
from 0 to 2 are reported.

    python -m benchmarks.error_finding --data ../shared/data --versions FOLDER
    python -m benchmarks.error_finding --show
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, provenance, tree
from benchmarks.instances import UNSEEN, herd, herds, test_herds
from benchmarks.semi_sets import Material, cattle
from benchmarks.semi_supervised import trained
from benchmarks.study import conduct, study_parser
from data_io.geometry import mask_of_parts, mask_of_rle, rle_of_parts, rle_union
from data_io.scenes import CAMERAS

if TYPE_CHECKING:
    from model.calibrate import Samples
    from model.predictor import Predictor

RESULTS = ROOT / "benchmarks/results/error_finding.jsonl"
LABELS = {"drone": 15, "barn": 4, "herds": 15}
FITTED = 8  # images at most that the temperature is fitted to
FIRST_FITTED = 900_000  # seed of the first herd among them
BAND, GROSS, SHARE = 15.0, 3.0, 0.05  # px, px, of the area
SIGNALS = ("random", "distance", "entropy", "calibrated", "mirror", "whose", "former", "map")
FIGURES = ("auroc", "auroc_band", "aupr", "recall", "recall_gross")

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """One version of the study."""

    set: str
    method: str
    labels: int
    seed: int
    minutes: float

    @property
    def key(self) -> str:
        """What tells runs of one state of the code apart."""
        return json.dumps([self.set, self.method, self.labels, self.seed, self.minutes])

    @property
    def name(self) -> str:
        """Of the version's folder."""
        return f"{self.set}-{self.method}-{self.labels}-{self.seed}"


class Judged(NamedTuple):
    """What one test image says."""

    signals: dict[str, dict[str, float | None]]
    regions: dict[str, float | None]
    wrong: float  # share of the pixels
    everywhere: Samples
    band: Samples  # the same, in the band alone


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)

    def one(fields: dict[str, Any]) -> dict[str, Any]:
        return judge(options.data, Run(**fields), options.versions)

    more = ["--versions", str(options.versions.resolve())] if options.versions else []
    return conduct(
        "benchmarks.error_finding",
        options,
        one,
        planned(options),
        _told,
        print_table,
        more,
        each=True,
    )


def _told(record: dict[str, Any]) -> str:
    return f"recall {record['signals']['map']['recall']:.3f}"


def planned(options: argparse.Namespace) -> Iterator[Run]:
    """Every set with every seed."""
    for seed in options.seeds:
        for name in options.sets:
            for method in options.methods:
                yield Run(name, method, LABELS[name], seed, options.minutes)


def judge(data: Path, run: Run, versions: Path | None) -> dict[str, Any]:
    """The record of one version."""
    import torch

    from model.calibrate import calibration, error_of, samples, together
    from model.predictor import Predictor

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="error-finding-") as scratch:
        folder = version_of(data, run, versions, Path(scratch))
        predictor = Predictor.load(folder, device="cpu", threads=1)
        predictor.calibration = calibration([])
        known = []
        for record in held_out(data, run, Path(scratch)):
            probability, _ = predictor.maps(pixels_of(record))
            known.append(samples(probability, truth_of(record).astype(np.uint8)))
        predictor.calibration = fitted = calibration(known)
        found = [judged(predictor, record) for record in tested(data, run, Path(scratch))]
    everywhere = together([image.everywhere for image in found])
    band = together([image.band for image in found])
    return {
        "study": "error_finding",
        "key": run.key,
        **vars(run),
        "model": tree("model"),
        **provenance(run.seed),
        "images": len(found),
        "wrong": float(np.mean([f.wrong for f in found])),
        "calibration": fitted.as_dict(),
        "ece": [error_of(everywhere, t) for t in (1.0, fitted.temperature)],
        "ece_band": [error_of(band, t) for t in (1.0, fitted.temperature)],
        "signals": {
            name: {
                figure: mean_known([f.signals[name][figure] for f in found]) for figure in FIGURES
            }
            for name in SIGNALS
        },
        "regions": {
            name: mean_known([f.regions[name] for f in found]) for name in found[0].regions
        },
    }


# --- versions and images --------------------------------------------------------------------------


def version_of(data: Path, run: Run, versions: Path | None, scratch: Path) -> Path:
    """The folder of the version, trained where there is none yet."""
    settings = {"minutes": run.minutes, "method": run.method, "seed": run.seed}
    draw = partial(drawn, data, run, scratch)
    return trained((versions or scratch) / run.name, draw, settings)


def drawn(data: Path, run: Run, scratch: Path) -> Material:
    """The images of a run by what they are for."""
    if run.set == "herds":
        return herds(scratch, run.labels, run.seed)
    return _cattle(data, run)


def _cattle(data: Path, run: Run) -> Material:
    folder, more = {
        "drone": ("cattle_drone_yak", ""),
        "barn": ("cattle_barn_topdown", "cattle_barn_unlabeled"),
    }[run.set]
    return cattle(folder, run.labels, more)(data, run.seed)


def held_out(data: Path, run: Run, scratch: Path) -> Sequence[Any]:
    """Labeled images that the temperature is fitted to."""
    if run.set != "herds":
        return _cattle(data, run).pool[:FITTED]
    seen = [name for name in CAMERAS if name not in UNSEEN]
    return [herd(scratch, FIRST_FITTED + k, seen[k % len(seen)]) for k in range(FITTED)]


def tested(data: Path, run: Run, scratch: Path) -> Sequence[Any]:
    """Labeled images that are judged."""
    return test_herds(scratch) if run.set == "herds" else _cattle(data, run).test


def pixels_of(record: Any) -> NDArray[np.uint8]:
    from data_io.images import read

    return read(Path(record.path))


def truth_of(record: Any) -> Mask:
    """(H, W): where animals are."""
    size = (record.height, record.width)
    return _union([rle for _, rle in record.labels], size)


def _union(rles: Sequence[Any], size: tuple[int, int]) -> Mask:
    return mask_of_rle(rle_union(list(rles))) if rles else np.zeros(size, np.bool_)


# --- one image ------------------------------------------------------------------------------------


def judged(predictor: Predictor, record: Any) -> Judged:
    """Everything that one test image says."""
    from model import uncertainty
    from model.calibrate import Calibration, samples, tempered
    from model.instances import tell_apart
    from model.metrics import contour_distance
    from model.regions import Doubts

    size, true = (record.height, record.width), truth_of(record)
    kept, predictor.calibration = predictor.calibration, Calibration()
    seen = predictor.seen(pixels_of(record))
    predictor.calibration = kept
    sure = tempered(seen.probability, kept.temperature)
    found = tell_apart(sure, *size, predictor.categories, "v", seen.maps)
    predicted = _union([rle_of_parts(a.parts, *size) for a in found.instances], size)
    whose = uncertainty.whose_doubt(sure, found.doubt)
    stored = uncertainty.uncertainty_map(sure, whose)
    distance = contour_distance(predicted)
    coarse = {
        "entropy": uncertainty.to_bytes(uncertainty.entropy(seen.probability)),
        "calibrated": uncertainty.to_bytes(uncertainty.entropy(sure)),
        "mirror": uncertainty.to_bytes(seen.differs),
        "whose": uncertainty.to_bytes(whose),
        "former": uncertainty.to_bytes(np.maximum(uncertainty.entropy(sure), whose)),
        "map": stored,
    }
    signals: dict[str, NDArray[Any]] = {
        name: _at_pixels(values, size) for name, values in coarse.items()
    }
    signals["distance"] = _finely(-distance)
    signals["random"] = _finely(np.random.default_rng(0).random(size, np.float32))
    wrong = predicted != true
    gross = wrong & (contour_distance(true) > GROSS)
    band = distance <= BAND
    labels = true.astype(np.uint8)
    places = places_of(stored, Doubts(whose, seen.differs), found.instances, size)
    return Judged(
        {name: figures(values, wrong, gross, band) for name, values in signals.items()},
        {
            "area": float(places.mean()),
            "recall": float(places[wrong].mean()) if wrong.any() else None,
            "recall_gross": float(places[gross].mean()) if gross.any() else None,
        },
        float(wrong.mean()),
        samples(seen.probability, labels),
        samples(seen.probability, np.where(band, labels, np.uint8(255))),
    )


def places_of(stored: Any, doubts: Any, animals: Sequence[Any], size: tuple[int, int]) -> Mask:
    """(H, W): what the review regions cover."""
    from model.regions import regions

    made = regions(stored, animals, *size, classes=2, version="v", image="", doubts=doubts)
    covered = np.zeros(size, np.bool_)
    for region in made:
        covered |= mask_of_parts(region.parts, *size)
    return covered


def figures(values: NDArray[Any], wrong: Mask, gross: Mask, band: Mask) -> dict[str, float | None]:
    """How well one signal (H, W) finds the errors of one image."""
    from model.metrics import error_finding, recall_of

    everywhere = error_finding(values, wrong, SHARE)
    return {
        "auroc": everywhere.auroc,
        "auroc_band": error_finding(values[band], wrong[band]).auroc,
        "aupr": everywhere.aupr,
        "recall": everywhere.recall,
        "recall_gross": recall_of(values, gross, SHARE),
    }


def _at_pixels(values: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    from model.instances import STRIDE, resample

    fine = resample(values.astype(np.float32), 1 / STRIDE, *size)
    return np.round(fine).astype(np.uint8)


def _finely(values: Floats) -> NDArray[np.uint16]:
    """Real numbers by rank-keeping 16 bits; infinite ones are the lowest."""
    low, high = (float(f(values[np.isfinite(values)], initial=0)) for f in (np.min, np.max))
    scaled = (np.clip(values, low, high) - low) / max(high - low, 1e-9)
    return np.round(scaled * 65535).astype(np.uint16)


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


# --- the table ------------------------------------------------------------------------------------


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One Markdown line a set, method and signal: means over the seeds."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["method"], row["labels"]), []).append(row)
    heads = ("set", "method", "labels", "draws", "model code", "signal", *FIGURES)
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for (name, method, labels), mine in sorted(groups.items()):
        seeds = " ".join(str(row["seed"]) for row in mine)
        states = " ".join(sorted({row["model"] for row in mine}))
        for signal in SIGNALS:
            means = [
                mean_known([row["signals"][signal][figure] for row in mine]) for figure in FIGURES
            ]
            cells = [name, method, str(labels), seeds, states, signal, *map(_cell, means)]
            print("| " + " | ".join(cells) + " |")
    print()
    more = ("wrong", "T", "ECE", "calibrated", "ECE band", "calibrated")
    regions = ("regions: area", "recall", "recall_gross")
    print("| set | method | draws | " + " | ".join((*more, *regions)) + " |")
    print("|---" * (3 + len(more) + len(regions)) + "|")
    for (name, method, _), mine in sorted(groups.items()):
        seeds = " ".join(str(row["seed"]) for row in mine)
        figured = [_summary(row) for row in mine]
        means = [mean_known(column) for column in zip(*figured, strict=True)]
        print("| " + " | ".join([name, method, seeds, *map(_cell, means)]) + " |")


def _summary(row: dict[str, Any]) -> list[float | None]:
    places = row["regions"]
    return [
        row["wrong"],
        row["calibration"]["temperature"],
        *row["ece"],
        *row["ece_band"],
        *(places[name] for name in ("area", "recall", "recall_gross")),
    ]


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, RESULTS, jobs=1)
    parser.add_argument("--sets", nargs="+", choices=LABELS, default=list(LABELS))
    parser.add_argument("--methods", nargs="+", default=["u2pl"])
    parser.add_argument("--versions", type=Path, help="folder of versions, kept and reused")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
