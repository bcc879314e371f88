"""Weak and strong views of crops, and CutMix.

Convention: corner (u, v) of a crop pixel lies at (x + u / zoom, y + v / zoom) in the image, (x, y)
being the crop's top-left corner; pixel (0, 0) spans [0, 1] x [0, 1] as everywhere. What lies
outside the image is mid-grey and labeled 255: padding is never trained as ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import distributed
from model.config import IGNORE

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Labels = NDArray[np.uint8]  # (H, W), 255 = nobody vouches for it
CUTMIX_SHARE = 0.5  # of the crops get a piece of their neighbor
CUTMIX_AREA = (0.1, 0.4)  # of the crop
GREY = (127, 127, 127)
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Window:
    """Where a crop lies in its image, in image pixels, and how it is shown."""

    x: float
    y: float
    zoom: float  # crop pixels an image pixel
    flip: bool


def weak_view(image: Image, labels: Labels, window: Window, crop: int) -> tuple[Image, Labels]:
    """The crop (crop, crop, 3) and its labels (crop, crop), zoomed and maybe mirrored."""
    matrix = _to_image(window, crop)
    flags, size = cv2.WARP_INVERSE_MAP, (crop, crop)
    pixels = cv2.warpAffine(image, matrix, size, flags=flags | cv2.INTER_LINEAR, borderValue=GREY)
    truth = cv2.warpAffine(
        labels, matrix, size, flags=flags | cv2.INTER_NEAREST, borderValue=(IGNORE,)
    )
    return np.asarray(pixels, np.uint8), np.asarray(truth, np.uint8)


def weak_numbers(numbers: NDArray[np.uint16], window: Window, crop: int) -> NDArray[np.uint16]:
    """A map of numbers (h, w) seen through the window of `weak_view`, 0 outside of the image."""
    flags, size = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST, (crop, crop)
    return np.asarray(
        cv2.warpAffine(numbers, _to_image(window, crop), size, flags=flags), np.uint16
    )


def _to_image(window: Window, crop: int) -> NDArray[np.float64]:
    """(2, 3): from the crop's pixels to the image's, as OpenCV counts them."""
    step = -1.0 / window.zoom if window.flip else 1.0 / window.zoom
    start = window.x + (crop / window.zoom if window.flip else 0.0)
    # warpAffine speaks in pixel centers; the half-pixel terms turn corners into centers.
    return np.array(
        [
            [step, 0.0, start + 0.5 * step - 0.5],
            [0.0, 1.0 / window.zoom, window.y + 0.5 / window.zoom - 0.5],
        ]
    )


def strong_view(
    image: Image, rng: np.random.Generator, jitter: float, grey: float, blur: float
) -> Image:
    """Other colors, nothing moves; with three zeros the image itself.

    Args:
        jitter: strength of the color jitter that four of five views get; 1 = by up to a half.
        grey: share of views without color.
        blur: share of views with a Gaussian blur, sigma 0.3 to 2 pixels.
    """
    if jitter and rng.random() < 0.8:
        image = _jitter(image, rng, jitter)
    if rng.random() < grey:
        image = _recolored(image, np.tile(_LUMA, (3, 1)))
    if rng.random() < blur:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2.0)), np.uint8)
    return image


def light_jitter(image: Image, rng: np.random.Generator) -> Image:
    """Mild color jitter for labeled crops: other daylight, the same animals."""
    return image if rng.random() < 0.5 else _jitter(image, rng, 0.4)


def _jitter(image: Image, rng: np.random.Generator, strength: float) -> Image:
    """Brightness, contrast and saturation by up to half, hue by shifted channel gains.

    All of them are linear in the color, so one matrix does them in one pass.
    """
    bright, contrast, saturation = 1.0 + strength * rng.uniform(-0.5, 0.5, 3)
    gains = bright * (1.0 + strength * rng.uniform(-0.15, 0.15, 3))
    mean = float(gains @ cv2.mean(image)[:3]) / 3  # which contrast leaves where it is
    saturate = saturation * np.eye(3) + (1.0 - saturation) * _LUMA  # leaves grey where it is
    return _recolored(image, saturate @ np.diag(contrast * gains), mean * (1.0 - contrast))


def _recolored(image: Image, matrix: NDArray[np.float64], offset: float = 0.0) -> Image:
    """matrix @ color + offset of every pixel, rounded, within 0 to 255."""
    affine = np.column_stack([matrix, np.full(3, offset)])
    return np.asarray(cv2.transform(image, affine), np.uint8)


def to_tensor(images: list[Image], mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Stack of (H, W, 3) uint8 -> (B, 3, H, W) float32 channels_last, (x / 255 - mean) / std.

    In NumPy, because a thread that makes batches and calls torch gets a team of threads of its
    own, which wait busily on the cores where the network runs.
    """
    pixels = np.stack(images).astype(np.float32)
    rows = pixels.reshape(*pixels.shape[:2], -1)  # whole rows: an axis of three is slow
    for change, values in ((np.subtract, mean), (np.divide, std)):
        change(rows, np.tile(255 * np.asarray(values, np.float32), pixels.shape[2]), out=rows)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class CutMix:
    """A box for each crop of a batch: inside it shows the next crop of the joint batch instead.

    The boxes lie on a grid of 4 pixels, so a map at stride 4 can be mixed like the pixels.
    """

    boxes: tuple[tuple[int, int, int, int], ...]  # x0, y0, x1, y1 in pixels; empty = unmixed

    @staticmethod
    def draw(batch: int, crop: int, rng: np.random.Generator) -> CutMix:
        """Boxes of 10-40 % of the area and aspect 1:2 to 2:1 for half of the crops."""
        boxes = []
        for _ in range(batch):
            area = rng.uniform(*CUTMIX_AREA) * crop * crop
            aspect = float(np.exp(rng.uniform(-np.log(2), np.log(2))))
            width = min(crop, round((area * aspect) ** 0.5 / 4) * 4)
            height = min(crop, round((area / aspect) ** 0.5 / 4) * 4)
            x, y = (4 * int(rng.integers((crop - side) // 4 + 1)) for side in (width, height))
            mixed = batch > 1 and rng.random() < CUTMIX_SHARE
            boxes.append((x, y, x + width, y + height) if mixed else (0, 0, 0, 0))
        return CutMix(tuple(boxes))

    def apply(self, maps: Tensor, stride: int = 1) -> Tensor:
        """Mix (B, h, w) or (B, K, h, w) maps whose pixels are `stride` crop pixels wide."""
        if not self.boxes:
            return maps
        mixed, others = maps.clone(), distributed.following(maps)
        for i, box in enumerate(self.boxes):
            x0, y0, x1, y1 = (side // stride for side in box)
            mixed[i, ..., y0:y1, x0:x1] = others[i, ..., y0:y1, x0:x1]
        return mixed
