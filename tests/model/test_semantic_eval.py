"""Center crop, windows and whole images; a network that looks at single cells sees all alike."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data_io.atomic import file_sha256
from data_io.geometry import rle_of_mask
from data_io.snapshot import VOID, SnapshotImage
from model.config import IGNORE, NetworkConfig
from model.dataset import Frames
from model.scale import Scaling
from model.semantic_eval import Scheme, _starts, center_crop, pixel_logits, score, sliding_window

HALF = (0.5, 0.5, 0.5)


def colors(pixels: np.ndarray) -> np.ndarray:
    """A position-independent network: its logits are the colors."""
    return pixels.transpose(2, 0, 1).astype(np.float32)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (96, 160), (65, 63), (30, 200), (10, 7), (107, 108), (150, 64)]
)
def test_windows_of_a_position_independent_network_are_the_whole(height: int, width: int) -> None:
    pixels = picture(height, width)
    np.testing.assert_allclose(sliding_window(colors, pixels, 64), colors(pixels), rtol=1e-6)


def test_windows_step_by_two_thirds_and_end_with_the_image() -> None:
    assert list(_starts(64, 64)) == [0]
    assert list(_starts(107, 64)) == [0, 43]
    assert list(_starts(108, 64)) == [0, 43, 44]
    assert list(_starts(150, 64)) == [0, 43, 86]


def test_every_pixel_gets_the_mean_of_the_windows_that_show_it() -> None:
    """Each window answers with its number; 107 x 64 pixels are two windows, 21 rows in both."""
    calls: list[int] = []

    def numbered(pixels: np.ndarray) -> np.ndarray:
        calls.append(len(calls))
        return np.full((1, *pixels.shape[:2]), float(calls[-1]), np.float32)

    found = sliding_window(numbered, picture(107, 64), 64)[0]
    assert calls == [0, 1]
    assert (found[:43] == 0).all()
    assert (found[43:64] == 0.5).all()
    assert (found[64:] == 1).all()


@pytest.mark.parametrize(("height", "width"), [(10, 20), (64, 64), (100, 30), (101, 200)])
def test_the_center_crop_shows_the_middle(height: int, width: int) -> None:
    pixels, labels = picture(height, width), np.zeros((height, width), np.uint8)
    labels[height // 2, width // 2] = 7
    view, truth = center_crop(pixels, labels, 64)
    assert (view.shape, truth.shape) == ((64, 64, 3), (64, 64))
    ((y, x),) = np.argwhere(truth == 7)
    assert abs(y - 32) <= 1
    assert abs(x - 32) <= 1
    np.testing.assert_array_equal(view[y, x], pixels[height // 2, width // 2])
    assert (truth != IGNORE).sum() == min(height, 64) * min(width, 64)


class Brightest(nn.Module):
    """The class is the brightest of the three colors in a cell."""

    config = NetworkConfig(classes=3)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(image, 4) * self.scale


@pytest.fixture
def record(tmp_path: Path) -> SnapshotImage:
    """Three stripes, 64 x 96, shown right but for the last one, half of which is void."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    stripes = [slice(32 * c, 32 * c + 32) for c in (0, 1, 2)]
    for c, stripe in enumerate(stripes):
        pixels[:, stripe, c] = 255
    masks = np.zeros((4, 64, 96), bool)
    masks[1, :, stripes[1]], masks[2, :, stripes[2]], masks[3, :32, stripes[2]] = True, True, True
    pixels[32:, stripes[2]] = (255, 0, 0)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    labels = tuple((c, rle_of_mask(mask)) for c, mask in zip((1, 2, VOID), masks[1:], strict=True))
    sha256 = file_sha256(tmp_path / "a.png")
    everything = rle_of_mask(np.ones((64, 96), bool))
    path = str(tmp_path / "a.png")
    return SnapshotImage("a", path, 96, 64, sha256, "", "val", labels, everything, True)


def scored(record: SnapshotImage, scheme: Scheme, crop: int, padded: bool = False) -> list[float]:
    frames = Frames(Scaling(1024), 8)
    found = score(Brightest(), [record], frames, HALF, HALF, scheme, crop, padded)  # type: ignore[arg-type]
    assert found["images"] == 1
    assert found["miou"] == pytest.approx(np.mean(found["ious"]))
    assert found["miou_categories"] == pytest.approx(np.mean(found["ious"][1:]))
    return found["ious"]


@pytest.mark.parametrize("scheme", get_args(Scheme))
def test_every_scheme_counts_real_pixels_and_no_void(record: SnapshotImage, scheme: Scheme) -> None:
    assert scored(record, scheme, 128) == pytest.approx([2 / 3, 1, 0], abs=0.03)


def test_the_center_crop_leaves_out_the_rest(record: SnapshotImage) -> None:
    found = score(Brightest(), [record], Frames(Scaling(1024), 8), HALF, HALF, "center_crop", 32)  # type: ignore[arg-type]
    assert found["ious"] == [None, 1.0, None]


def test_padding_can_be_scored_as_background_like_published(record: SnapshotImage) -> None:
    ours, theirs = (scored(record, "center_crop", 128, padded) for padded in (False, True))
    assert theirs[0] > ours[0] + 0.1  # grey padding is class 0 here: three equal logits
    assert theirs[1:] == pytest.approx(ours[1:], abs=0.1)


def test_pixel_logits_refuse_a_size_the_network_cannot_take() -> None:
    with pytest.raises(AssertionError):
        pixel_logits(Brightest(), picture(65, 64), HALF, HALF)  # type: ignore[arg-type]
