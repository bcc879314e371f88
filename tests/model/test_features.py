from __future__ import annotations

import numpy as np
import pytest
import torch

from data_io.errors import DataError
from model.backbone import create_encoder
from model.features import BACKBONE, Encoder, FeatureMaps, encoder_file


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(encoder_file(tmp_path_factory.mktemp("encoder")), 1)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 255, (70, 130, 3), np.uint8)


def small_maps():
    """Random maps of a 16 x 24 image at its own size."""
    random = np.random.default_rng(1)
    shapes = ((4, 8, 5), (2, 4, 3), (1, 2, 2))
    levels = tuple(random.normal(size=shape).astype(np.float16) for shape in shapes)
    return FeatureMaps(levels, 16, 24, 1.0)


def test_the_file_is_made_once(tmp_path, monkeypatch):
    first = encoder_file(tmp_path)
    monkeypatch.setattr("subprocess.run", None)
    assert encoder_file(tmp_path) == first


def test_levels_have_the_strides_of_the_padded_image(encoder, picture):
    maps = encoder.maps(picture, 512)
    assert [level.shape[:2] for level in maps.levels] == [(20, 36), (10, 18), (5, 9)]
    assert maps.channels == (46, 40, 112)
    assert (maps.height, maps.width, maps.zoom) == (70, 130, 1.0)


def test_a_large_image_is_scaled_to_the_side(encoder, picture):
    maps = encoder.maps(picture, 65)
    assert maps.zoom == 0.5
    assert maps.grid == (12, 20)


def test_features_are_those_of_the_published_encoder(encoder):
    picture = np.random.default_rng(2).integers(0, 255, (64, 96, 3), np.uint8)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        seen = create_encoder(BACKBONE, 32, pretrained=True).eval()(image)
    maps = encoder.maps(picture, 512)
    for level, wanted in zip(maps.levels[1:], seen[2:4], strict=True):
        np.testing.assert_allclose(level, wanted[0].permute(1, 2, 0), atol=0.02)
    np.testing.assert_allclose(maps.levels[0][..., 16:40], seen[1][0].permute(1, 2, 0), atol=0.02)


def test_colors_tell_a_white_from_a_black_picture(encoder):
    white, black = (encoder.maps(np.full((32, 32, 3), v, np.uint8), 64) for v in (255, 0))
    assert (white.levels[0][..., 40] > 0.9).all()
    assert (black.levels[0][..., 40] < -0.9).all()


def test_weighting_each_level_first_is_weighting_the_interpolated_features():
    maps = small_maps()
    random = np.random.default_rng(3)
    weight, bias = random.normal(size=(10, 2)), random.normal(size=2)
    rows, columns = (grid.ravel() for grid in np.mgrid[:4, :8])
    wanted = maps.at(rows, columns) @ weight + bias
    made = maps.project(weight.astype(np.float32), bias.astype(np.float32))
    np.testing.assert_allclose(made.reshape(2, -1).T, wanted, atol=1e-4)


def test_a_file_gives_the_maps_back(tmp_path):
    maps, path = small_maps(), tmp_path / "maps.npz"
    path.write_bytes(maps.to_bytes())
    again = FeatureMaps.of_file(path)
    assert (again.height, again.width, again.zoom) == (16, 24, 1.0)
    for one, other in zip(maps.levels, again.levels, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"no maps", small_maps().to_bytes()[:200]])
def test_a_damaged_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "maps.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="holds no feature maps"):
        FeatureMaps.of_file(path)


def test_a_damaged_network_is_one_sentence(tmp_path):
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is no network"):
        Encoder(path)
