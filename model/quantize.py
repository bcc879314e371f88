"""The version's encoder in eight bits: ``python -m model.quantize JOB_DIR``, after the training.

ONNX Runtime sees on a few images of the snapshot which values every map of the encoder takes, and
writes its weights with a scale for each channel. Decoder and heads stay as they are: in eight bits
they lost animals and gave no time (decision 39). Other images judge: the result stays only where
it tells the animals apart as the original does, and takes less time here (`model.quantized`).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from data_io.atomic import file_sha256, write_atomic
from data_io.errors import DataError
from data_io.geometry import Rle, rle_of_mask
from data_io.images import read
from data_io.snapshot import SnapshotImage, read_snapshot
from model.checkpoint import ONNX, read_meta
from model.instances import Animal, animals_of
from model.metrics import Panoptic, Scored
from model.onnx_session import open_session
from model.predictor import REMEDY, Predictor, session_run
from model.quantized import QUANTIZED, TOLD
from model.training_job import DONE, FAILED, read_spec
from model.validation import spread

SHOWN, JUDGES = 6, 6  # images that tell the ranges, and that judge
# Panoptic quality of the animals, those of the original being the truth. Networks that are unsure
# whose a cell is differ most, and are no worse by the real truth (.91 on synthetic herds): the
# bound is there for ranges that six images did not show.
ALIKE = 0.85
SOONER = 0.9  # share of the original's time that is worth it
TIMED = 4  # looks of each at an image
ENCODER = "/encoder/"  # how its nodes are named by the export

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """What was measured of the network in eight bits.

    Attributes:
        alike: panoptic quality of its animals in [0, 1], see `ALIKE`; None = no animals found.
        share: its time over the original's.
        kept: whether it is used.
    """

    alike: float | None
    share: float
    kept: bool


def add(version: Path, images: Sequence[Bytes], threads: int = 1) -> Judged:
    """Put the network in eight bits into a version's folder; what was measured comes last.

    Args:
        version: folder with ``model.onnx``.
        images: (H, W, 3) uint8 RGB each; the first half tells the ranges, the others judge.
        threads: of the network while it is timed.

    Raises:
        DataError: the version is damaged.
        StoreError: the disk is full or cannot be written.
    """
    original = Predictor.load(version, "cpu", threads)
    half = -(-len(images) // 2)
    with tempfile.TemporaryDirectory(prefix="quantize-") as scratch:
        draft = Path(scratch) / QUANTIZED
        shrink(version / ONNX, draft, [original.batch(one) for one in images[:half]])
        session = open_session(draft, threads, DataError(draft, "cannot be read", REMEDY))
        quick = Predictor(session_run(session), read_meta(version), original.version, "cpu")
        judged = judge(original, quick, images[half:] or images)
        put(version, draft, judged)
    return judged


def put(version: Path, network: Path, judged: Judged) -> None:
    """Put a network in eight bits into a version's folder where it is kept, and what was measured.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    told = dict(vars(judged))
    if judged.kept:
        write_atomic(version / QUANTIZED, network.read_bytes())
        told["onnx_sha256"] = file_sha256(network)
    write_atomic(version / TOLD, json.dumps(told).encode())


def shrink(source: Path, target: Path, batches: Sequence[Floats]) -> None:
    """Write `source` with an encoder in eight bits.

    Args:
        batches: (1, 3, H, W) normalized images, H and W multiples of 32; they tell the ranges.
    """
    plain = target.with_suffix(".plain.onnx")
    quant_pre_process(str(source), str(plain), skip_symbolic_shape=True)
    encoder = [n.name for n in onnx.load(str(plain)).graph.node if n.name.startswith(ENCODER)]
    quantize_static(
        str(plain),
        str(target),
        _Shown(batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add", "Clip"],
        nodes_to_quantize=encoder,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    plain.unlink()


class _Shown(CalibrationDataReader):
    """Batches, one after the other."""

    def __init__(self, batches: Sequence[Floats]) -> None:
        self._left: Iterator[Floats] = iter(batches)

    def get_next(self) -> dict[str, Floats] | None:
        """The next one; None = that was the last."""
        batch = next(self._left, None)
        return None if batch is None else {"image": batch}


def judge(original: Predictor, quick: Predictor, images: Sequence[Bytes]) -> Judged:
    """Compare what two networks make of images, and how long they take for the first one."""
    same = Panoptic()
    for image in images:
        same.add(*(_animals(network, image) for network in (original, quick)))
    alike, share = same.value(), _share(original, quick, images[0])
    return Judged(alike, share, (alike is None or alike >= ALIKE) and share <= SOONER)


def _animals(predictor: Predictor, image: Bytes) -> list[Scored]:
    height, width = image.shape[:2]
    probability, maps = predictor.maps(image)
    found, _ = animals_of(probability, height, width, maps)
    return [
        Scored(predictor.categories[one.category - 1], _rle(one, height, width)) for one in found
    ]


def _rle(animal: Animal, height: int, width: int) -> Rle:
    whole = np.zeros((height, width), np.bool_)
    rows, columns = animal.mask.shape
    whole[animal.y0 : animal.y0 + rows, animal.x0 : animal.x0 + columns] = animal.mask
    return rle_of_mask(whole)


def _share(original: Predictor, quick: Predictor, image: Bytes) -> float:
    """The quickest look of the one over that of the other, in seconds of the processor.

    Those of the wall are a matter of who else works here; the two networks take turns.
    """
    spent: dict[Predictor, list[float]] = {original: [], quick: []}
    for network in (original, quick) * TIMED:
        start = time.process_time()
        network.maps(image)
        spent[network].append(time.process_time() - start)
    return min(spent[quick]) / min(spent[original])


def of_job(job: Path) -> Judged | None:
    """Quantize a job's version; None where that is of no use.

    Raises:
        DataError: the job, its snapshot or its version is not usable.
        StoreError: the disk is full or cannot be written.
    """
    version = job / "version"
    done = (version / TOLD).is_file() or not (version / ONNX).is_file()
    if done or torch.cuda.is_available():  # which looks at images itself
        return None
    spec = read_spec(job)
    images = pictures(read_snapshot(Path(spec["snapshot"])).images)
    return add(version, images, int(spec["train"].get("threads") or 1))


def pictures(records: Sequence[SnapshotImage]) -> list[Bytes]:
    """Images of a snapshot for `add`: both halves hold some of every group."""
    chosen = spread(records, SHOWN + JUDGES)
    return [read(Path(one.path)) for one in (*chosen[::2], *chosen[1::2])]


def main(arguments: Sequence[str]) -> int:
    """Quantize in the job folder named by the only argument; returns the exit code."""
    try:
        judged = of_job(Path(arguments[0]))
    except Exception as error:  # the runtime's share no base class; a version is whole without it
        print(error, file=sys.stderr)
        return FAILED
    if judged is not None:
        print(f"eight bits: {judged}")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
