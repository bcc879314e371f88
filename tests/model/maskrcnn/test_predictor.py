"""A Mask R-CNN version on disk becomes proposals; a broken one becomes a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from data_io.errors import DataError
from model.checkpoint import META, WEIGHTS, load_version, version_meta, write_version
from model.config import train_config
from model.maskrcnn import predictor as module
from model.maskrcnn.detections import Detections
from model.maskrcnn.network import create_network, network_config
from model.maskrcnn.predictor import MaskRcnnPredictor
from model.predictor import Predictor
from tests.model.maskrcnn.tiny import JOB, detections

SMALL = {"max_side": 96, "crop": 64}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained version of two categories."""
    config = train_config({**JOB, **SMALL})
    network, _ = create_network(network_config(config, 2), 0, False)
    normalized = ((0.5,) * 3, (0.5,) * 3)
    meta = version_meta(
        network.config.as_dict(), normalized, config, ["cow", "calf"], {}, version="v7"
    )
    folder = tmp_path_factory.mktemp("versions") / "v7"
    write_version(folder, network.state_dict(), meta)
    return folder


@pytest.fixture(scope="module")
def opened(version: Path) -> Predictor:
    return Predictor.load(version, device="cpu", threads=1)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_load_picks_the_kind(opened: Predictor, version: Path) -> None:
    assert isinstance(opened, MaskRcnnPredictor)
    assert (opened.version, opened.device) == ("v7", "cpu")
    assert opened.categories == ("cow", "calf")
    assert {path.name for path in version.iterdir()} == {WEIGHTS, META}
    assert json.loads((version / META).read_text())["network"]["kind"] == "maskrcnn"
    with pytest.raises(DataError, match="do not fit"):
        load_version(version)  # no segmentation network


@pytest.mark.parametrize(
    ("height", "width"), [(64, 96), (97, 131), (7, 9), (1, 1), (3, 200), (150, 40)]
)
def test_shapes_and_ranges_for_any_size(opened: Predictor, height: int, width: int) -> None:
    made = opened.predict(picture(height, width))
    cells = (-(-height // 4), -(-width // 4))
    assert made.probability.shape == (3, *cells)
    assert made.probability.dtype == np.float32
    np.testing.assert_allclose(made.probability.sum(0), 1, atol=1e-4)
    assert made.uncertainty.shape == cells
    assert made.uncertainty.dtype == np.uint8
    probability, maps = opened.maps(picture(height, width))
    assert maps is None
    np.testing.assert_array_equal(probability, made.probability)


def always(found: Detections) -> MaskRcnnPredictor:
    meta = {"categories": ["cow"], "max_side": 96, "least_animal": 0, "small_animal": 0}
    meta |= {"mean": [0.5] * 3, "std": [0.5] * 3}
    return MaskRcnnPredictor(lambda image, zoom: found, meta, "v", "cpu")


def test_uncertainty_is_the_entropy_of_the_probability() -> None:
    even = always(detections(((0, 0, 40, 40), 0.5, 1))).predict(picture(40, 80))
    assert even.uncertainty[5, 2] >= 254  # the neighborhood counts, see `uncertainty.class_doubt`
    assert even.uncertainty[5, 18] <= 1
    assert len(even.instances) == 1
    sure = always(detections()).predict(picture(40, 80))
    assert not sure.uncertainty.any()
    assert sure.instances == ()


def test_the_same_image_gives_the_same_answer(opened: Predictor) -> None:
    one, other = (opened.predict(picture(50, 60)) for _ in range(2))
    np.testing.assert_array_equal(one.probability, other.probability)


def test_small_animals_make_it_look_closer() -> None:
    zooms = []

    def look(image: np.ndarray, zoom: float) -> Detections:
        zooms.append(zoom)
        return detections()

    meta = {"categories": ["cow"], "max_side": 96, "least_animal": 24, "small_animal": 30}
    meta |= {"mean": [0.5] * 3, "std": [0.5] * 3}
    MaskRcnnPredictor(look, meta, "v", "cpu").predict(picture(200, 300))
    assert zooms[0] == 0.32
    assert set(zooms[1:]) == {0.8}


def test_threads_are_set_on_the_cpu(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(module.torch, "set_num_threads", chosen.append)
    Predictor.load(version, device="cpu", threads=3)
    Predictor.load(version, device="cpu")
    assert chosen == [3]


def test_what_is_no_image_is_refused(opened: Predictor) -> None:
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(ValueError, match="expected"):
            opened.predict(image)


def test_broken_versions_are_a_sentence(version: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(version, tmp_path / "v"))
    meta = json.loads((folder / META).read_text())
    (folder / META).write_text(json.dumps({**meta, "categories": ["cow"]}))
    with pytest.raises(DataError, match="3 classes for 1 categories"):
        Predictor.load(folder, device="cpu")
    wider = {**meta["network"], "channels": 16}
    (folder / META).write_text(json.dumps({**meta, "network": wider}))
    with pytest.raises(DataError, match="do not fit"):
        Predictor.load(folder, device="cpu")
    (folder / META).write_text(json.dumps(meta))
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(DataError, match="changed after they were saved"):
        Predictor.load(folder, device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_finds_about_as_much_as_the_cpu(version: Path, opened: Predictor) -> None:
    cuda = Predictor.load(version, device="cuda")
    np.testing.assert_allclose(
        cuda.maps(picture(96, 96))[0], opened.maps(picture(96, 96))[0], atol=0.1
    )
