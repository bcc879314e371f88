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
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Window:
    """Where a crop lies in its image, in image pixels, and how it is shown."""

    x: float
    y: float
    zoom: float  # crop pixels an image pixel
    flip: bool


def weak_view(image: Image, labels: Labels, window: Window, crop: int) -> tuple[Image, Labels]:
    """The crop (crop, crop, 3) and its labels (crop, crop), zoomed and maybe mirrored."""
    step = -1.0 / window.zoom if window.flip else 1.0 / window.zoom
    start = window.x + (crop / window.zoom if window.flip else 0.0)
    # warpAffine speaks in pixel centers; the half-pixel terms turn corners into centers.
    matrix = np.array(
        [
            [step, 0.0, start + 0.5 * step - 0.5],
            [0.0, 1.0 / window.zoom, window.y + 0.5 / window.zoom - 0.5],
        ]
    )
    flags, size = cv2.WARP_INVERSE_MAP, (crop, crop)
    pixels = cv2.warpAffine(image, matrix, size, flags=flags | cv2.INTER_LINEAR, borderValue=GREY)
    truth = cv2.warpAffine(
        labels, matrix, size, flags=flags | cv2.INTER_NEAREST, borderValue=(IGNORE,)
    )
    return np.asarray(pixels, np.uint8), np.asarray(truth, np.uint8)


def strong_view(
    image: Image, rng: np.random.Generator, jitter: float, grey: float, blur: float
) -> Image:
    """Other colors, nothing moves; with three zeros the image itself.

    Args:
        jitter: strength of the color jitter that four of five views get; 1 = by up to a half.
        grey: share of views without color.
        blur: share of views with a Gaussian blur, sigma 0.3 to 2 pixels.
    """
    pixels = image.astype(np.float32)
    if jitter and rng.random() < 0.8:
        pixels = _jitter(pixels, rng, jitter)
    if rng.random() < grey:
        pixels = np.repeat((pixels @ _LUMA)[..., None], 3, axis=2)
    if rng.random() < blur:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 2.0)))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def light_jitter(image: Image, rng: np.random.Generator) -> Image:
    """Mild color jitter for labeled crops: other daylight, the same animals."""
    if rng.random() < 0.5:
        return image
    return np.clip(np.rint(_jitter(image.astype(np.float32), rng, 0.4)), 0, 255).astype(np.uint8)


def _jitter(
    pixels: NDArray[np.float32], rng: np.random.Generator, strength: float
) -> NDArray[np.float32]:
    """Brightness, contrast and saturation by up to half, hue by shifted channel gains."""
    bright, contrast, saturation = 1.0 + strength * rng.uniform(-0.5, 0.5, 3)
    gains = (1.0 + strength * rng.uniform(-0.15, 0.15, 3)).astype(np.float32)
    pixels = pixels * (gains * np.float32(bright))
    pixels = (pixels - pixels.mean()) * np.float32(contrast) + pixels.mean()
    grey = (pixels @ _LUMA)[..., None]
    mixed = grey + (pixels - grey) * np.float32(saturation)
    return np.asarray(np.clip(mixed, 0.0, 255.0), np.float32)


def to_tensor(images: list[Image], mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Stack of (H, W, 3) uint8 -> (B, 3, H, W) float32 channels_last, (x / 255 - mean) / std."""
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255.0)
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return ((pixels - shift) / scale).contiguous(memory_format=torch.channels_last)


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
