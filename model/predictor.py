"""One image -> what a model version proposes for it.

Route: scale to the version's long side -> normalize -> pad to a multiple of 32 -> network ->
stride 4 of the image -> calibrated -> instances, uncertainty. A glance at the mirror image, half as
large, tells where the network contradicts itself. Where a project's animals would become too small,
a larger image is looked at in tiles as well.
Regions and score are left to `model.regions` and `model.uncertainty`, since they depend on what a
person has verified already.

On the CPU the network runs in ONNX Runtime (less than half the time of eager torch), its encoder in
eight bits where `model.quantized` allows it; on CUDA in torch with autocast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from data_io.atomic import file_sha256
from data_io.errors import DataError
from model import instances, uncertainty
from model.calibrate import Calibration, tempered
from model.checkpoint import ONNX, load_version, read_meta
from model.config import MASK_RCNN
from model.instances import STRIDE, resample
from model.network import MULTIPLE, SegmentationNetwork
from model.onnx_session import open_session
from model.pieces import InstanceMaps
from model.prediction import Prediction
from model.quantized import quantized_file
from model.regions import Doubts
from model.scale import Scaling
from model.tiles import LARGER, OVERLAP, animals_beyond, tiled

Floats = NDArray[np.float32]
# (1, 3, H, W) -> logits (1, C, H/4, W/4), and (1, 5, H/4, W/4) of an instance head
Run = Callable[[Floats], Sequence[Floats]]

DEVICES = ("auto", "cpu", "cuda", "mps")
NEEDED = {
    "categories",
    "max_side",
    "least_animal",
    "small_animal",
    "mean",
    "std",
}
REMEDY = "choose another version or train again"


class Seen(NamedTuple):
    """What a network says of an image, on stride 4 of the image."""

    probability: Floats  # (C, h, w) softmax, calibrated
    maps: InstanceMaps | None  # of the instance head, where there is one
    differs: Floats  # (h, w) in [0, 1]: probability that a glance at the mirror image moves


class Looked(NamedTuple):
    """As `Seen`, while the glance is still under way."""

    probability: Floats
    maps: InstanceMaps | None
    differs: Future[Floats]


# Glances at mirror images: the processor's other cores are idle while animals are told apart.
_ASIDE = ThreadPoolExecutor(1, "glance")


class Predictor:
    """A model version ready to predict; `predict` may be called from several threads.

    Attributes:
        version: id of the version. categories: category ids of the classes 1..C-1.
        device: where the network runs. scaling: at which size images are looked at.
        calibration: how sure the network's answers are made.
    """

    def __init__(self, run: Run, meta: Mapping[str, Any], version: str, device: str) -> None:
        self._run = run
        self.version = version
        self.device = device
        self.categories: tuple[str, ...] = tuple(str(c) for c in meta["categories"])
        self.scaling = Scaling(
            int(meta["max_side"]), float(meta["least_animal"]), float(meta["small_animal"])
        )
        self.calibration = Calibration.of_dict(meta.get("calibration"))
        # (3, 1, 1) each: one multiplication and one addition normalize bytes
        std = np.asarray(meta["std"], np.float32).reshape(3, 1, 1)
        self._scale = 1 / (255 * std)
        self._shift = -np.asarray(meta["mean"], np.float32).reshape(3, 1, 1) / std

    @classmethod
    def load(
        cls, version_dir: Path | str, device: str = "auto", threads: int | None = None
    ) -> Predictor:
        """Open a version folder, whatever kind of network it holds.

        Args:
            version_dir: folder with version.json, weights.safetensors and, unless its network is a
                Mask R-CNN, model.onnx.
            device: auto (cuda where there is one, else cpu), cpu, cuda or mps.
            threads: of the network on the CPU; None lets the runtime decide.

        Raises:
            DataError: a file is missing or not the one that was saved, or there is no such device.
        """
        folder = Path(version_dir)
        chosen = _device(device)
        meta = read_meta(folder)
        missing = NEEDED - meta.keys()
        if missing:
            why = f"version.json lacks {', '.join(sorted(missing))}"
            raise DataError(folder, why, REMEDY)
        if meta.get("network", {}).get("kind") == MASK_RCNN:
            # Late: that module builds on this one.
            from model.maskrcnn.predictor import MaskRcnnPredictor

            return MaskRcnnPredictor.opened(folder, meta, chosen, threads)
        if chosen == "cpu":
            run = _onnx(folder, meta, threads)
        else:
            run = _torch(load_version(folder)[0], chosen)
        return cls(run, meta, str(meta.get("id") or folder.name), chosen)

    @classmethod
    def of_network(
        cls, network: SegmentationNetwork, meta: Mapping[str, Any], device: str
    ) -> Predictor:
        """A network that is no version yet; it moves to the device, in eval mode.

        Args:
            meta: what a ``version.json`` must have, see `NEEDED`.
            device: cpu, cuda or mps.
        """
        return cls(_torch(network, device), meta, "", device)

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """Everything the version proposes for an image.

        Args:
            image: (H, W, 3) uint8 RGB of any size.
        """
        height, width = image.shape[:2]
        probability, maps, glance = self.looked(image)
        made = instances.tell_apart(probability, height, width, self.categories, self.version, maps)
        whose = uncertainty.whose_doubt(probability, made.doubt)
        unsure = uncertainty.uncertainty_map(probability, whose)
        return Prediction(probability, unsure, made.instances, Doubts(whose, glance.result()))

    def maps(self, image: NDArray[np.uint8]) -> tuple[Floats, InstanceMaps | None]:
        """What the network says of an image.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            Softmax (C, ceil(H/4), ceil(W/4)) float32 that sums to 1 over C, and the maps of the
            instance head on the same grid, where there is one.
        """
        return self._sorted(self._layers(image)[0])

    def seen(self, image: NDArray[np.uint8]) -> Seen:
        """As `maps`, and how much a glance at the mirror image disagrees."""
        probability, maps, glance = self.looked(image)
        return Seen(probability, maps, glance.result())

    def looked(self, image: NDArray[np.uint8]) -> Looked:
        """As `seen`, without waiting for the glance."""
        layers, zoom = self._layers(image)
        said = layers[: len(self.categories) + 1]
        glance = _ASIDE.submit(self._differs, image, said, zoom)
        return Looked(*self._sorted(layers), glance)

    def batch(self, image: NDArray[np.uint8]) -> Floats:
        """What the network gets to see of a whole image: (1, 3, H', W'), normalized."""
        height, width = image.shape[:2]
        return self._batch(_scaled(image, self.scaling.usual(width, height)))

    def _layers(self, image: NDArray[np.uint8]) -> tuple[Floats, float]:
        """What `_look` says of a whole image, or of its tiles, and at which zoom that was."""
        require_image(image)
        height, width = image.shape[:2]
        usual = self.scaling.usual(width, height)
        layers = self._look(image, usual)
        wanted = self.scaling.wanted(width, height, self.scaling.small)
        if not self._needs_tiles(image, wanted):
            return layers, usual
        return self._in_tiles(image, layers, wanted), wanted

    def _needs_tiles(self, image: NDArray[np.uint8], zoom: float) -> bool:
        """Whether an image looked at with this zoom is too large for one look."""
        height, width = image.shape[:2]
        return zoom > LARGER * self.scaling.usual(width, height)

    def _sorted(self, layers: Floats) -> tuple[Floats, InstanceMaps | None]:
        said, rest = np.split(layers, [len(self.categories) + 1])
        probability = tempered(said, self.calibration.temperature)
        if not len(rest):
            return probability, None
        center, x, y, contact, core = rest
        return probability, InstanceMaps(center, np.stack([x, y]), contact, core)

    def _in_tiles(self, image: NDArray[np.uint8], whole: Floats, zoom: float) -> Floats:
        """`_look` at a larger size, but for animals that are whole in no tile, those of `whole`."""
        fine = tiled(image, lambda part: self._look(part, zoom), *self._tile(zoom))
        numbers = instances.numbered(*self._sorted(whole))
        return np.where(animals_beyond(numbers, self._tile(zoom)[1]), whole, fine)

    def _tile(self, zoom: float) -> tuple[int, int]:
        """Side and overlap of tiles looked at with this zoom, image pixels."""
        side = round(self.scaling.max_side / zoom / STRIDE) * STRIDE
        return side, round(OVERLAP * side)

    def _look(self, image: NDArray[np.uint8], zoom: float) -> Floats:
        """The network's answer to an image scaled by `zoom`, on stride 4 of the image.

        Returns:
            (C, h, w) softmax, and where there is an instance head center, x, y (in cells of the
            image), contact and core.
        """
        scaled = _scaled(image, zoom)
        said = self._run(self._batch(scaled))
        parts = [_softmax(said[0][0])]
        if len(said) > 1:
            animals = said[1][0].copy()
            animals[1:3] *= np.float32(1 / (zoom * STRIDE))  # pixels at this size -> image's cells
            parts.append(animals)
        layers = np.concatenate(parts)
        height, width = image.shape[:2]
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        if zoom == 1:
            return np.ascontiguousarray(layers[:, :rows, :columns])
        step = (scaled.shape[1] / width, scaled.shape[0] / height)
        return np.stack([resample(layer, step, rows, columns) for layer in layers])

    def _differs(self, image: NDArray[np.uint8], said: Floats, zoom: float) -> Floats:
        """How much a glance at the mirror image, half as large, moves of what was said (h, w).

        A second look at full size costs as much as the first, and outlines drawn from both were no
        better (decision 37).
        """
        if self._needs_tiles(image, zoom):
            other = tiled(image, lambda part: self._mirrored(part, zoom), *self._tile(zoom))
        else:
            other = self._mirrored(image, zoom)
        return np.asarray(np.abs(said - other).sum(0) * np.float32(0.5), np.float32)

    def _mirrored(self, image: NDArray[np.uint8], zoom: float) -> Floats:
        """The softmax (C, h, w) of the mirror image at half that zoom, turned back."""
        height, width = image.shape[:2]
        # Whole cells, so that the answer turned back lies on the grid of the image.
        rows, columns = (max(1, round(zoom * side / (2 * STRIDE))) for side in (height, width))
        half = cv2.resize(image, (columns * STRIDE, rows * STRIDE), interpolation=cv2.INTER_AREA)
        turned = self._run(self._batch(half[:, ::-1]))
        back = _softmax(turned[0][0])[:, :rows, :columns][..., ::-1]
        step = (columns * STRIDE / width, rows * STRIDE / height)
        grid = -(-height // STRIDE), -(-width // STRIDE)
        return np.stack([resample(np.ascontiguousarray(p), step, *grid) for p in back])

    def _batch(self, image: NDArray[np.uint8]) -> Floats:
        """(H, W, 3) bytes -> (1, 3, H', W') normalized, padded to a multiple of 32."""
        below, right = (-side % MULTIPLE for side in image.shape[:2])
        padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT_101)
        batch = padded.transpose(2, 0, 1) * self._scale + self._shift
        return np.ascontiguousarray(batch[None], np.float32)


def require_image(image: NDArray[Any]) -> None:
    """Raises:
    ValueError: this is no (H, W, 3) uint8 image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")


def _scaled(image: NDArray[np.uint8], zoom: float) -> NDArray[np.uint8]:
    if zoom >= 1:
        return image
    height, width = image.shape[:2]
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _softmax(logits: Floats) -> Floats:
    """(C, h, w) -> probabilities over axis 0."""
    power = np.exp(logits - logits.max(0))
    return np.asarray(power / power.sum(0), np.float32)


def _device(name: str) -> str:
    if name not in DEVICES:
        raise DataError("device", f"there is no device {name!r}", f"use {', '.join(DEVICES)}")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(name, True):
        raise DataError("device", f"this machine has no {name}", "use auto or cpu")
    return name


def _onnx(folder: Path, meta: Mapping[str, Any], threads: int | None) -> Run:
    path = folder / ONNX
    if not path.is_file() or file_sha256(path) != meta.get("onnx_sha256"):
        why = f"{ONNX} is missing or was changed after it was saved"
        raise DataError(folder, why, REMEDY)
    refusal = DataError(folder, f"{ONNX} cannot be read by ONNX Runtime", REMEDY)
    session = _quantized(folder, threads) or open_session(path, threads, refusal)
    classes = session.get_outputs()[0].shape[1]
    if classes != len(meta["categories"]) + 1:
        why = f"the network has {classes} classes for {len(meta['categories'])} categories"
        raise DataError(folder, why, REMEDY)
    return session_run(session)


def _quantized(folder: Path, threads: int | None) -> InferenceSession | None:
    """The session of the network in eight bits, where there is one that can be used here."""
    path = quantized_file(folder)
    if path is None:
        return None
    try:
        return open_session(path, threads, DataError(path, "cannot be read", REMEDY))
    except DataError:  # of a newer runtime; the original answers as well
        return None


def session_run(session: InferenceSession) -> Run:
    """What a network in ONNX Runtime says of a batch, see `Run`."""
    names = [output.name for output in session.get_outputs()]

    def run(batch: Floats) -> Sequence[Floats]:
        return [np.asarray(part, np.float32) for part in session.run(names, {"image": batch})]

    return run


def _torch(network: SegmentationNetwork, device: str) -> Run:
    network = network.to(device).eval()
    network = network.to(memory_format=torch.channels_last)

    def run(batch: Floats) -> Sequence[Floats]:
        image = torch.from_numpy(batch).to(device)
        with torch.inference_mode(), torch.autocast(device, enabled=device == "cuda"):
            parts = network.proposal(image)
        return [np.asarray(part.float().cpu().numpy(), np.float32) for part in parts]

    return run
