from __future__ import annotations

import numpy as np
import pytest
import torch

from model import augment
from model.augment import CutMix, Window


def picture() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return image, (image[..., 0] > 127).astype(np.uint8)


@pytest.mark.parametrize("flip", [False, True])
def test_a_view_at_zoom_one_is_the_pixels_themselves(flip: bool) -> None:
    image, labels = picture()
    pixels, truth = augment.weak_view(image, labels, Window(8, 4, 1.0, flip), 32)
    expected, known = image[4:36, 8:40], labels[4:36, 8:40]
    if flip:
        expected, known = expected[:, ::-1], known[:, ::-1]
    np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(truth, known)


def test_zoom_two_doubles_every_pixel() -> None:
    image, labels = picture()
    _, truth = augment.weak_view(image, labels, Window(8, 4, 2.0, False), 32)
    np.testing.assert_array_equal(truth, labels[4:20, 8:24].repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("flip", [False, True])
def test_outside_of_the_image_is_255_and_nothing_else_is(flip: bool) -> None:
    image, labels = picture()
    pixels, truth = augment.weak_view(image, labels, Window(-4, 36, 1.0, flip), 64)
    outside = np.ones((64, 64), bool)
    outside[:4, 4:64] = False
    if flip:
        outside = outside[:, ::-1]
    np.testing.assert_array_equal(truth == 255, outside)
    assert (pixels[outside] == 127).all()


def test_strong_views_change_colors_and_are_seeded() -> None:
    image, _ = picture()
    views = [augment.strong_view(image, np.random.default_rng(s), 1, 0.2, 0.5) for s in (1, 1, 2)]
    assert views[0].dtype == np.uint8
    assert views[0].shape == image.shape
    np.testing.assert_array_equal(views[0], views[1])
    assert (views[0] != views[2]).any()
    assert (views[2] != image).any()


def test_a_strong_view_without_extras_is_the_image() -> None:
    image, _ = picture()
    np.testing.assert_array_equal(
        augment.strong_view(image, np.random.default_rng(0), 0, 0, 0), image
    )


def test_light_jitter_keeps_the_picture_recognizable() -> None:
    image, _ = picture()
    for seed in range(8):
        view = augment.light_jitter(image, np.random.default_rng(seed))
        assert np.corrcoef(view.ravel(), image.ravel())[0, 1] > 0.8


def test_to_tensor_normalizes() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[..., 1] = 255
    tensor = augment.to_tensor([image], (0.5, 0.5, 0.5), (0.5, 0.5, 0.25))
    assert tensor.shape == (1, 3, 2, 4)
    assert tensor[0, :, 0, 0].tolist() == [-1.0, 1.0, -2.0]


def test_cutmix_shows_the_neighbor_inside_the_box_only() -> None:
    mix = CutMix(((0, 8, 16, 24), (0, 0, 0, 0)))
    maps = torch.stack([torch.zeros(32, 32), torch.ones(32, 32)])
    mixed = mix.apply(maps)
    assert mixed[0].sum() == 16 * 16
    assert mixed[0, 8:24, :16].all()
    assert torch.equal(mixed[1], maps[1])
    small = mix.apply(maps[:, None, ::4, ::4], stride=4)
    assert torch.equal(small[:, 0], mixed[:, ::4, ::4])


def test_drawn_boxes_lie_on_the_grid_inside_the_crop() -> None:
    rng = np.random.default_rng(0)
    boxes = CutMix.draw(200, 64, rng).boxes
    mixed = [box for box in boxes if box != (0, 0, 0, 0)]
    assert 60 < len(mixed) < 140
    for x0, y0, x1, y1 in mixed:
        assert all(side % 4 == 0 for side in (x0, y0, x1, y1))
        assert 0 <= x0 < x1 <= 64
        assert 0 <= y0 < y1 <= 64
        assert 0.05 < (x1 - x0) * (y1 - y0) / 64**2 < 0.5


def test_one_crop_has_no_neighbor_to_mix_with() -> None:
    assert CutMix.draw(1, 64, np.random.default_rng(0)).boxes == ((0, 0, 0, 0),)
