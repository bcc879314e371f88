"""A version on disk becomes proposals; a broken one becomes a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from data_io.errors import DataError
from data_io.geometry import mask_of_parts
from model.calibrate import Calibration, tempered
from model.checkpoint import load_version, save_version
from model.config import NetworkConfig, TrainConfig
from model.network import SegmentationNetwork
from model.predictor import Predictor, _torch

MAX_SIDE = 160


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained two-class version."""
    torch.manual_seed(0)
    config = NetworkConfig(classes=2, decoder_channels=16, low_channels=8)
    folder = tmp_path_factory.mktemp("versions") / "v7"
    network = SegmentationNetwork(config)
    train = TrainConfig(max_side=MAX_SIDE, crop=64)
    save_version(folder, network.state_dict(), config, train, ["cow-id"], {}, version="v7")
    return folder


@pytest.fixture(scope="module")
def predictor(version: Path) -> Predictor:
    return Predictor.load(version, device="cpu", threads=1)


ANY_SIZE = {"least_animal": 0, "small_animal": 0}


def picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width"), [(96, 128), (97, 131), (131, 50), (300, 500), (7, 9), (1, 1), (3, 400)]
)
def test_shapes_and_ranges_for_any_size(predictor: Predictor, height: int, width: int) -> None:
    made = predictor.predict(picture(height, width))
    cells = (-(-height // 4), -(-width // 4))
    assert made.probability.shape == (2, *cells)
    assert made.probability.dtype == np.float32
    np.testing.assert_allclose(made.probability.sum(0), 1, atol=1e-4)
    assert made.uncertainty.shape == cells
    assert made.uncertainty.dtype == np.uint8
    for animal in made.instances:
        assert (animal.category, animal.version, animal.source) == ("cow-id", "v7", "model")
        for part in animal.parts:
            assert part.outer.min() >= 0
            assert (part.outer.max(0) <= (width, height)).all()


def test_metadata_is_known(predictor: Predictor) -> None:
    assert predictor.categories == ("cow-id",)
    assert (predictor.version, predictor.device) == ("v7", "cpu")
    assert predictor.scaling.max_side == MAX_SIDE


def test_onnx_and_torch_agree(version: Path, predictor: Predictor) -> None:
    network, meta = load_version(version)
    eager = Predictor(_torch(network, "cpu"), meta, "v7", "cpu")
    image = picture(100, 140)
    np.testing.assert_allclose(predictor.maps(image)[0], eager.maps(image)[0], rtol=0, atol=1e-4)


def test_a_calibrated_version_is_less_sure_of_the_same_classes(
    version: Path, predictor: Predictor
) -> None:
    network, meta = load_version(version)
    fitted = Calibration(temperature=2.0, images=3).as_dict()
    shy = Predictor.of_network(network, {**meta, "calibration": fitted}, "cpu")
    plain = Predictor.of_network(network, meta, "cpu")
    image = picture(100, 140)
    said, other = plain.maps(image)[0], shy.maps(image)[0]
    np.testing.assert_allclose(other, tempered(said, 2.0), atol=1e-6)
    np.testing.assert_array_equal(other.argmax(0), said.argmax(0))
    assert shy.predict(image).uncertainty.mean() > plain.predict(image).uncertainty.mean()
    assert predictor.calibration == Calibration()


def test_disagreement_is_what_the_mirror_image_says_otherwise() -> None:
    """A network that answers left and right, whatever it sees, contradicts its mirror image."""

    def left(batch: np.ndarray) -> list[np.ndarray]:
        h, w = batch.shape[2] // 4, batch.shape[3] // 4
        logits = np.zeros((1, 2, h, w), np.float32)
        logits[:, 1, :, : w // 2] = 9.0
        logits[:, 0, :, w // 2 :] = 9.0
        return [logits]

    meta = {"categories": ["c"], "max_side": 64, **ANY_SIZE, "mean": [0.5] * 3, "std": [0.5] * 3}
    made = Predictor(left, meta, "v", "cpu").predict(np.zeros((64, 64, 3), np.uint8))
    assert made.doubts is not None
    sides = np.delete(made.doubts.mirror, [7, 8], axis=1)  # where a grid half as fine is blended
    np.testing.assert_allclose(sides, 1, atol=1e-3)
    assert (made.doubts.whose == 0).all()
    assert made.uncertainty[:, [0, 1, 2, -3, -2, -1]].max() < 10  # told, not weighed


def test_a_network_that_sees_the_same_in_the_mirror_does_not_differ() -> None:
    """Bright ground is animal, however large and wherever it lies."""

    def bright(batch: np.ndarray) -> list[np.ndarray]:
        cells = batch[:, :1, ::4, ::4]
        return [np.concatenate([-9 * cells, 9 * cells], axis=1)]

    meta = {"categories": ["c"], "max_side": 500, **ANY_SIZE, "mean": [0.5] * 3, "std": [0.5] * 3}
    for height, width in ((64, 128), (61, 247), (33, 500)):  # padded, scaled to odd sizes
        image = np.zeros((height, width, 3), np.uint8)
        image[:, : width // 3] = 255
        differs = Predictor(bright, meta, "v", "cpu").seen(image).differs
        edge = width // 12
        assert differs[:, : edge - 3].max() < 0.01
        assert differs[:, edge + 4 :].max() < 0.01


@pytest.fixture(scope="module")
def telling_apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with an instance head, at random weights."""
    folder = tmp_path_factory.mktemp("versions") / "head"
    torch.manual_seed(1)
    config = NetworkConfig(2, decoder_channels=8, low_channels=8, instances=True, animal_size=40.0)
    network = SegmentationNetwork(config)
    train = TrainConfig(max_side=MAX_SIDE, crop=64)
    save_version(folder, network.state_dict(), config, train, ["cow-id"], {}, version="v8")
    return folder


def test_an_instance_head_answers_on_the_same_grid_in_onnx_and_torch(telling_apart: Path) -> None:
    predictor = Predictor.load(telling_apart, device="cpu", threads=1)
    network, meta = load_version(telling_apart)
    eager = Predictor(_torch(network, "cpu"), meta, "v8", "cpu")
    for height, width in ((100, 140), (MAX_SIDE // 2, 2 * MAX_SIDE)):
        image = picture(height, width)
        probability, maps = predictor.maps(image)
        other = eager.maps(image)[1]
        assert maps is not None
        assert other is not None
        assert maps.center.shape == maps.contact.shape == probability.shape[1:]
        assert maps.offset.shape == (2, *probability.shape[1:])
        for one, same in zip(maps, other, strict=True):
            np.testing.assert_allclose(one, same, rtol=0, atol=1e-3)


def test_votes_are_told_in_cells_of_the_image_however_it_was_scaled() -> None:
    def right(batch: np.ndarray) -> list[np.ndarray]:
        h, w = batch.shape[2] // 4, batch.shape[3] // 4
        animals = np.zeros((1, 5, h, w), np.float32)
        animals[:, 2] = 8.0  # pixels downwards, at training size
        return [np.zeros((1, 2, h, w), np.float32), animals]

    meta = {"categories": ["c"], "max_side": 64, **ANY_SIZE, "mean": [0.5] * 3, "std": [0.5] * 3}
    for side, cells in ((64, 2.0), (128, 4.0)):
        maps = Predictor(right, meta, "v", "cpu").maps(np.zeros((side, side, 3), np.uint8))[1]
        assert maps is not None
        np.testing.assert_allclose(maps.offset[1], cells)
        assert not maps.offset[0].any()


def beside_blue(batch: np.ndarray) -> list[np.ndarray]:
    """A network that takes what is not blue for animals, votes for the middle of their colors.

    Red and green fill the channels of a picture: every value is an animal, 0 the ground.
    """
    pixels = batch[0, :2, 2::4, 2::4] * 0.5 + 0.5
    number = np.round(pixels[0] * 20).astype(int)
    animal = number > 0
    logits = np.stack([np.where(animal, -4, 4), np.where(animal, 4, -4)])[None]
    out = np.zeros((1, 5, *number.shape), np.float32)
    y, x = np.mgrid[: number.shape[0], : number.shape[1]]
    for k in np.unique(number[animal]):
        own = number == k
        cx, cy = x[own].mean(), y[own].mean()
        out[0, 0] = np.maximum(out[0, 0], np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8))
        out[0, 1][own], out[0, 2][own] = (cx - x[own]) * 4, (cy - y[own]) * 4
    out[0, 4] = animal
    return [logits.astype(np.float32), out]


def test_a_large_image_with_small_animals_is_looked_at_in_tiles() -> None:
    """Squares of 12 pixels, some across the edges of tiles, beside one as long as a tile."""
    image = np.zeros((256, 384, 3), np.uint8)
    places = [(20, 20), (60, 28), (100, 60), (180, 88), (200, 300), (240, 360)]
    for k, (y, x) in enumerate(places, start=1):
        image[y : y + 12, x : x + 12, 0] = round(k / 20 * 255)
    image[120:150, 150:290, 0] = round(9 / 20 * 255)
    sizes = []

    def look(batch: np.ndarray) -> list[np.ndarray]:
        sizes.append(batch.shape[2:])
        return beside_blue(batch)

    meta = {"categories": ["c"], "max_side": 96, "mean": [0.5] * 3, "std": [0.5] * 3}
    known = {"least_animal": 12, "small_animal": 12}
    made = Predictor(look, {**meta, **known}, "v", "cpu").predict(image)
    masks = [mask_of_parts(animal.parts, 256, 384) for animal in made.instances]
    for y, x in places:
        true = np.zeros((256, 384), np.bool_)
        true[y : y + 12, x : x + 12] = True
        assert max((m & true).sum() / (m | true).sum() for m in masks) > 0.6, (y, x)
    long = [m for m in masks if m[120:150, 150:290].mean() > 0.8]
    assert len(long) == 1
    assert len(masks) == len(places) + 1
    assert sizes[0] == (64, 96)
    assert set(sizes[2:]) == {(96, 96), (64, 64)}  # a tile, and a glance at it
    whole = Predictor(look, {**meta, **ANY_SIZE}, "v", "cpu").predict(image)
    assert len(whole.instances) < len(places)


def test_padding_is_cut_away_and_scaling_keeps_places() -> None:
    """A network that answers with the image itself shows where each pixel goes."""

    def echo(batch: np.ndarray) -> list[np.ndarray]:
        _, _, h, w = batch.shape
        cells = batch[:, 0].reshape(1, h // 4, 4, w // 4, 4).mean((2, 4))
        return [np.stack([np.zeros_like(cells), cells], 1)]

    meta = {"categories": ["c"], "max_side": 200, **ANY_SIZE, "mean": [0.5] * 3, "std": [0.5] * 3}
    predictor = Predictor(echo, meta, "v", "cpu")
    for height, width in ((90, 150), (270, 450)):
        image = np.zeros((height, width, 3), np.uint8)
        image[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 255
        bright = predictor.maps(image)[0][1] > 0.5
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        for cells, side in ((rows, height), (columns, width)):
            assert abs(cells[0] * 4 - side / 3) <= 4
            assert abs((cells[-1] + 1) * 4 - 2 * side / 3) <= 4


def test_normalization_follows_the_version() -> None:
    seen = []

    def spy(batch: np.ndarray) -> list[np.ndarray]:
        seen.append(batch)
        return [np.zeros((1, 2, batch.shape[2] // 4, batch.shape[3] // 4), np.float32)]

    meta = {
        "categories": ["c"],
        "max_side": 64,
        **ANY_SIZE,
        "mean": [0.5, 0.25, 0],
        "std": [0.5, 0.25, 1],
    }
    Predictor(spy, meta, "v", "cpu").maps(np.full((32, 32, 3), 255, np.uint8))
    np.testing.assert_allclose(seen[0][0, :, 0, 0], [1, 3, 1], atol=1e-5)
    assert seen[0].dtype == np.float32


def test_what_is_no_image_is_refused(predictor: Predictor) -> None:
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match="expected"):
            predictor.predict(image)


def spoiled(version: Path, target: Path) -> Path:
    shutil.copytree(version, target / "v")
    return target / "v"


@pytest.mark.parametrize("name", ["model.onnx", "version.json"])
def test_a_missing_file_is_one_sentence(version: Path, tmp_path: Path, name: str) -> None:
    folder = spoiled(version, tmp_path)
    (folder / name).unlink()
    with pytest.raises(DataError, match="train again"):
        Predictor.load(folder)
    with pytest.raises(DataError, match="train again"):
        Predictor.load(tmp_path / "nowhere")


def test_changed_bytes_are_noticed(version: Path, tmp_path: Path) -> None:
    folder = spoiled(version, tmp_path)
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(DataError, match="changed after it was saved"):
        Predictor.load(folder, device="cpu")


def test_a_file_that_is_no_network_and_a_class_too_many(version: Path, tmp_path: Path) -> None:
    folder = spoiled(version, tmp_path)
    meta = json.loads((folder / "version.json").read_text())
    two = {**meta, "categories": ["a", "b"]}
    (folder / "version.json").write_text(json.dumps(two))
    with pytest.raises(DataError, match="2 classes for 2 categories"):
        Predictor.load(folder, device="cpu")
    (folder / "model.onnx").write_bytes(b"nothing")
    from data_io.atomic import file_sha256

    meta["onnx_sha256"] = file_sha256(folder / "model.onnx")
    (folder / "version.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match="cannot be read by ONNX Runtime"):
        Predictor.load(folder, device="cpu")
    del meta["mean"]
    (folder / "version.json").write_text(json.dumps(meta))
    with pytest.raises(DataError, match="lacks mean"):
        Predictor.load(folder, device="cpu")


def test_unknown_and_absent_devices(version: Path) -> None:
    with pytest.raises(DataError, match="no device 'tpu'"):
        Predictor.load(version, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DataError, match="no cuda"):
            Predictor.load(version, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu(version: Path, predictor: Predictor) -> None:
    image = picture(96, 128)
    cuda = Predictor.load(version, device="cuda")
    np.testing.assert_allclose(cuda.maps(image)[0], predictor.maps(image)[0], atol=0.02)
