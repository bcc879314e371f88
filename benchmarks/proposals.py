"""Time whole proposals: ``python -m benchmarks.proposals [--version DIR] [--images N]``.

A proposal is decoding a JPEG, scaling and the network, instances with simplified outlines, the
uncertainty map, what is left to wait for of the glance at the mirror image, and regions. Without a
version the weights of a network with an instance head are random, which costs the same time, and
the later stages read the scene's own animals, softened, in place of its answer. Such a version gets
its network in eight bits as a training's does; `--plain` leaves it out. "crowd" is the
way from such answers to instances (masks of image pixels) for 30 animals on 512 x 512 pixels,
"crowd_rings" the same with simplified outlines. Prints one JSON object: median and 95th percentile
of every stage in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import ROOT, append, provenance
from data_io.images import read
from data_io.scenes import CAMERAS, Scene, scene
from model import quantize, uncertainty
from model.checkpoint import ONNX, save_version
from model.config import NetworkConfig, TrainConfig
from model.instances import STRIDE, animals_of, tell_apart
from model.network import SegmentationNetwork
from model.pieces import InstanceMaps
from model.predictor import Predictor
from model.quantize import SHOWN, Judged
from model.regions import Doubts, regions
from model.targets import animal_targets

RESULTS = ROOT / "benchmarks/results/proposals.jsonl"
WIDTH, HEIGHT = 960, 540
WARM_UP = 3
UNTIMED = 10_000  # first of the seeds whose scenes only tell ranges
RANDOM = "random; stages after it on softened truth"

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Timed = Callable[[str, Callable[[], Any]], Any]  # the name of a stage, and what it does


def untrained(folder: Path, seed: int, plain: bool = False) -> Path:
    """A version of the default network, with an instance head, and random weights.

    Args:
        plain: without a network in eight bits.
    """
    torch.manual_seed(seed)
    config = NetworkConfig(classes=2, norm="group", instances=True)
    network = SegmentationNetwork(config)
    save_version(folder, network.state_dict(), config, TrainConfig(), ["cow"], {}, version="random")
    if not plain:
        quicken(folder, [drawn(seed + UNTIMED + k).image for k in range(SHOWN)])
    return folder


def quicken(version: Path, images: Sequence[Bytes]) -> None:
    """A network in eight bits as a training's version gets it, but judged by nobody.

    The animals of random weights are noise, which eight bits change.
    """
    predictor, draft = Predictor.load(version, "cpu"), version / "draft.onnx"
    quantize.shrink(version / ONNX, draft, [predictor.batch(one) for one in images])
    quantize.put(version, draft, Judged(None, 1.0, True))
    draft.unlink()


def drawn(seed: int) -> Scene:
    """A scene of the benchmark; the cameras take turns."""
    cameras = list(CAMERAS)
    return scene(seed, cameras[seed % len(cameras)], width=WIDTH, height=HEIGHT)


def soft_truth(masks: Sequence[NDArray[np.bool_]]) -> tuple[Floats, InstanceMaps]:
    """What a network would say of animals (H, W) that is unsure along outlines only."""
    height, width = masks[0].shape
    union = np.any(masks, axis=0).astype(np.float32)
    cells = (-(-width // STRIDE), -(-height // STRIDE))
    soft = cv2.resize(cv2.GaussianBlur(union, (0, 0), 4.0), cells, interpolation=cv2.INTER_AREA)
    ids = np.zeros((cells[1] * STRIDE, cells[0] * STRIDE), np.uint16)
    for number, mask in enumerate(masks, start=1):
        ids[:height, :width][mask] = number
    targets = animal_targets(ids)
    return np.stack([1 - soft, soft]).astype(np.float32), InstanceMaps.of_targets(targets)


def crowd(repeats: int, timed: Timed) -> None:
    """The ways from answers to instances for 30 animals on 512 x 512 pixels."""
    masks: list[NDArray[np.bool_]] = []
    for k in range(30):
        mask = np.zeros((512, 512), np.uint8)
        middle = (50.0 + 82 * (k % 6), 55.0 + 100 * (k // 6))
        cv2.ellipse(mask, (middle, (84.0, 46.0), 37.0 * k), 1, -1)
        masks.append((mask > 0) & ~np.any([np.zeros((512, 512), np.bool_), *masks], axis=0))
    probability, maps = soft_truth(masks)
    for _ in range(repeats):
        animals, _ = timed("crowd", partial(animals_of, probability, 512, 512, maps))
        made = timed("crowd_rings", partial(tell_apart, probability, 512, 512, ["cow"], "v", maps))
        assert len(animals) == len(made.instances) == 30


class Answer(NamedTuple):
    """What a network says of an image: see `Predictor.maps`."""

    probability: Floats
    maps: InstanceMaps | None


class Stopwatch:
    """Milliseconds of every call, by stage."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    def __call__(self, stage: str, work: Callable[[], Any]) -> Any:
        """The result of `work`, whose time is noted."""
        start = time.perf_counter()
        result = work()
        self.times.setdefault(stage, []).append((time.perf_counter() - start) * 1000)
        return result


def propose(
    predictor: Predictor, image: Bytes, instead: Answer | None, timed: Timed
) -> tuple[int, int]:
    """One proposal, stage by stage; the numbers of its animals and of its regions.

    Args:
        image: (H, W, 3) uint8 RGB.
        instead: what the stages after the network read in place of its answer.
        timed: runs each stage.
    """
    height, width = image.shape[:2]
    names, made_by = predictor.categories, predictor.version
    said = timed("network", partial(predictor.looked, image))
    answer, maps = instead or said[:2]
    apart = partial(tell_apart, answer, height, width, names, made_by, maps)
    found, doubt = timed("instances", apart)
    unsure, whose = timed("uncertainty", partial(_unsure, answer, doubt))
    differs = timed("glance", said.differs.result)
    classes = len(answer)
    asked = partial(regions, unsure, found, height, width, doubts=Doubts(whose, differs))
    asked = partial(asked, classes=classes, version=made_by, image="")
    places = timed("regions", asked)
    timed("score", partial(uncertainty.image_score, unsure, classes))
    return len(found), len(places)


def _unsure(probability: Floats, doubt: Floats) -> tuple[Bytes, Floats]:
    whose = uncertainty.whose_doubt(probability, doubt)
    return uncertainty.uncertainty_map(probability, whose), whose


@contextmanager
def opened(given: argparse.Namespace) -> Iterator[Predictor]:
    """The predictor of a version; without one, of random weights that are gone afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.version or untrained(Path(scratch) / "version", given.seed, given.plain)
        yield Predictor.load(folder, device="auto", threads=given.threads)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Time scenes after a warm-up."""
    watch, counts = Stopwatch(), []
    with opened(given) as predictor, tempfile.TemporaryDirectory() as scratch:
        for k in range(WARM_UP + given.images):
            shown = drawn(given.seed + k)
            file = Path(scratch) / f"{k}.jpg"
            cv2.imwrite(str(file), shown.image[..., ::-1])
            instead = None if given.version else Answer(*soft_truth(shown.masks))
            counts.append(watch("whole", partial(_whole, predictor, file, instead, watch)))
    crowd(WARM_UP + given.images, watch)
    animals, regions = np.mean(counts[WARM_UP:], axis=0)
    return {
        "benchmark": "proposals",
        **provenance(given.seed),
        "network": predictor.device,
        "eight_bits": not given.plain if given.version is None else "as the version has it",
        "weights": predictor.version if given.version else RANDOM,
        "threads": given.threads or "auto",
        "size": [WIDTH, HEIGHT],
        "warm_up": WARM_UP,
        "images": given.images,
        "animals_mean": round(float(animals), 1),
        "regions_mean": round(float(regions), 1),
        "milliseconds": {stage: summary(spent[WARM_UP:]) for stage, spent in watch.times.items()},
    }


def _whole(
    predictor: Predictor, file: Path, instead: Answer | None, timed: Timed
) -> tuple[int, int]:
    image = timed("decode", partial(read, file))
    return propose(predictor, image, instead, timed)


def summary(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile, rounded to a tenth."""
    return {
        "median": round(float(np.median(values)), 1),
        "p95": round(float(np.percentile(values, 95)), 1),
    }


def main() -> None:
    """Parse the arguments and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", type=Path, default=None, help="folder of a trained version")
    parser.add_argument("--plain", action="store_true", help="no network in eight bits")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="append to the results")
    given = parser.parse_args()
    record = measure(given)
    print(json.dumps(record))
    if given.record:
        append(RESULTS, record)


if __name__ == "__main__":
    main()
