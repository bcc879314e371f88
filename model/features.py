"""Feature maps of a frozen, pretrained encoder: what the instant model learns on.

The first three strides of the default backbone with its published weights, and the picture's own
colors. The deepest stage is left out: from one to five labeled images a light head on it learns the
places rather than the animals (`benchmarks/instant.py`).

The encoder runs in ONNX Runtime; `export_encoder` writes it once for each project.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.atomic import write_atomic
from data_io.errors import DataError
from model.onnx_session import export_once, open_session

if TYPE_CHECKING:
    import torch

BACKBONE = "tf_efficientnet_lite0"
MULTIPLE = 16  # padded image sides are multiples of the coarsest stride
STRIDES = (4, 8, 16)
COLOR_SIGMAS = (2.0, 8.0)  # pixels: of a cell itself, and of what surrounds it
NAMES = ("fine", "middle", "coarse")
REMEDY = "delete the file; it is made again"

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """What the encoder sees in one image.

    Attributes:
        levels: (h, w, K) float16 each, at the strides 4, 8 and 16 of the scaled image.
        height, width: of the image, pixels.
        zoom: pixels of the scaled image per image pixel.
    """

    levels: tuple[NDArray[np.float16], ...]
    height: int
    width: int
    zoom: float

    @property
    def channels(self) -> tuple[int, ...]:
        """K of each level."""
        return tuple(level.shape[2] for level in self.levels)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns at stride 4, the padding included."""
        rows, columns = self.levels[0].shape[:2]
        return rows, columns

    @property
    def shown(self) -> tuple[int, int]:
        """Rows and columns at stride 4 that show the image, without the padding."""
        rows, columns = self.grid
        h, w = (round(side * self.zoom / STRIDES[0]) for side in (self.height, self.width))
        return min(rows, h), min(columns, w)

    def at(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        """(n, K) float32 of cells at stride 4: all levels, the coarser ones interpolated."""
        h, w = self.grid
        parts = []
        for level in self.levels:
            full = level.astype(np.float32)
            if full.shape[:2] != (h, w):
                full = cv2.resize(full, (w, h), interpolation=cv2.INTER_LINEAR)
            parts.append(full[rows, columns])
        return np.concatenate(parts, axis=1)

    def project(self, weight: Floats, bias: Floats) -> Floats:
        """(C, h, w) float32 at stride 4: ``at`` times `weight` (K, C) plus `bias` (C,).

        Interpolating is linear as well, so each level is weighted at its own stride first.
        """
        h, w = self.grid
        total = np.broadcast_to(bias, (h, w, bias.size)).astype(np.float32)
        parts = np.split(weight, np.cumsum(self.channels)[:-1])
        for level, part in zip(self.levels, parts, strict=True):
            seen = level.astype(np.float32) @ part
            if seen.shape[:2] != (h, w):
                seen = cv2.resize(seen, (w, h), interpolation=cv2.INTER_LINEAR)
            total += seen.reshape(h, w, -1)
        return np.ascontiguousarray(total.transpose(2, 0, 1))

    def to_bytes(self) -> bytes:
        """The maps as the content of an ``.npz`` file."""
        buffer = io.BytesIO()
        fine, middle, coarse = self.levels
        size = np.array([self.height, self.width])
        np.savez(buffer, size=size, zoom=self.zoom, fine=fine, middle=middle, coarse=coarse)
        return buffer.getvalue()

    @staticmethod
    def of_file(path: Path) -> FeatureMaps:
        """What `to_bytes` was written to.

        Raises:
            DataError: the file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                height, width = kept["size"].tolist()
                levels = tuple(kept[name] for name in NAMES)
                return FeatureMaps(levels, height, width, float(kept["zoom"]))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(path, "holds no feature maps", REMEDY) from error


class Encoder:
    """The frozen encoder of a project.

    Args:
        path: file of `export_encoder`.
        threads: of ONNX Runtime; None lets it decide.

    Raises:
        DataError: there is no such network in the file.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        refusal = DataError(path, "is no network ONNX Runtime can read", REMEDY)
        self._session = open_session(path, threads, refusal)

    def maps(self, image: Pixels, side: int) -> FeatureMaps:
        """Features of an image scaled to a long side of at most `side` pixels.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        padded, zoom = fitted(image, side)
        seen = self._session.run(list(NAMES), {"image": batch_of(padded)})
        levels = [np.asarray(level[0], np.float32).transpose(1, 2, 0) for level in seen]
        levels[0] = np.concatenate([levels[0], _colors(padded)], axis=2)
        halves = tuple(np.ascontiguousarray(level, np.float16) for level in levels)
        height, width = image.shape[:2]
        return FeatureMaps(halves, height, width, zoom)


def fitted(image: Pixels, side: int) -> tuple[Pixels, float]:
    """An image scaled to a long side of at most `side` and padded below and right; the scale."""
    height, width = image.shape[:2]
    zoom = min(1.0, side / max(height, width))
    h, w = max(1, round(height * zoom)), max(1, round(width * zoom))
    scaled = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA) if zoom < 1 else image
    below, right = -h % MULTIPLE, -w % MULTIPLE
    padded = cv2.copyMakeBorder(scaled, 0, below, 0, right, cv2.BORDER_REFLECT_101)
    return np.asarray(padded, np.uint8), zoom


def batch_of(padded: Pixels) -> Floats:
    """(1, 3, H, W) in [-1, 1], as the backbone's weights want it."""
    batch = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32)
    return batch / np.float32(127.5) - 1


def _colors(padded: Pixels) -> Floats:
    """(h, w, 6) at stride 4: lightness and color in [-1, 1], near and around."""
    height, width = padded.shape[:2]
    size = (width // STRIDES[0], height // STRIDES[0])
    lab = cv2.cvtColor(padded, cv2.COLOR_RGB2LAB).astype(np.float32) / 128 - 1
    blurred = (cv2.GaussianBlur(lab, (0, 0), sigma) for sigma in COLOR_SIGMAS)
    return np.concatenate(
        [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in blurred], axis=2
    )


def encoder_file(folder: Path) -> Path:
    """The encoder's file in a folder, exported when it is missing.

    Raises:
        DataError: the export failed.
    """
    mark = hashlib.sha256(f"{BACKBONE} {STRIDES}".encode()).hexdigest()[:12]
    path = folder / f"encoder-{mark}.onnx"
    return export_once("model.features", [], path, "the encoder")


def export_encoder(path: Path) -> None:
    """Write the frozen encoder: ``image`` (1, 3, H, W) in [-1, 1] -> fine, middle, coarse.

    Raises:
        DataError: the backbone's weights are not installed.
        StoreError: the disk is full or cannot be written.
    """
    import torch

    from model.backbone import create_encoder

    class Frozen(torch.nn.Module):
        """The first strides; stride 2 averaged into stride 4."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = create_encoder(BACKBONE, 32, pretrained=True).eval()

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            two, four, eight, sixteen = self.encoder(image)[:4]
            return torch.cat([torch.nn.functional.avg_pool2d(two, 2), four], 1), eight, sixteen

    export_maps(Frozen(), dict(zip(NAMES, STRIDES, strict=True)), path)


def export_maps(network: torch.nn.Module, strides: Mapping[str, int], path: Path) -> None:
    """Write a network of images of any size; `strides` of its maps by name, in order.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    import torch

    buffer = io.BytesIO()
    axes = {name: {2: f"height_{s}", 3: f"width_{s}"} for name, s in strides.items()}
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 4 * MULTIPLE, 6 * MULTIPLE),),
            buffer,  # type: ignore[arg-type]
            input_names=["image"],
            output_names=list(strides),
            dynamic_axes={"image": {2: "height", 3: "width"}, **axes},
            opset_version=17,
            dynamo=False,
        )
    write_atomic(path, buffer.getvalue())


if __name__ == "__main__":
    export_encoder(Path(sys.argv[1]))
