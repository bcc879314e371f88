"""Training and predicting with the contact band: three classes inside, one category outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_io.atomic import file_sha256
from data_io.geometry import mask_of_rle, rle_of_mask
from data_io.images import read
from data_io.scenes import scene
from data_io.snapshot import VOID, Label, SnapshotImage, write_content
from data_io.types import Category
from model import train
from model.checkpoint import load_version
from model.config import IGNORE
from model.dataset import load_frame
from model.predictor import Predictor
from model.scale import Scaling
from model.targets import BAND, BODY
from model.training_job import FAILED
from model.uncertainty import uncertainty_map

pytestmark = pytest.mark.usefixtures("as_before")  # trainings run inside the test process
COW = Category("cow-id", "cow", "#e69f00", 1)
TINY: dict[str, Any] = {
    "steps": 4,
    "crop": 64,
    "batch": 2,
    "batch_unlabeled": 2,
    "max_side": 192,
    "decoder_channels": 8,
    "representation_channels": 4,
    "bank": 50,
    "threads": 1,
    "device": "cpu",
    "encoding": "contact_band",
}


def record(
    path: Path, pixels: np.ndarray, labels: tuple[Label, ...], verified: np.ndarray | None
) -> SnapshotImage:
    Image.fromarray(pixels).save(path)
    return SnapshotImage(
        id=path.stem,
        path=str(path),
        width=pixels.shape[1],
        height=pixels.shape[0],
        sha256=file_sha256(path),
        group="barn",
        split=None,
        labels=labels,
        verified=None if verified is None else rle_of_mask(verified),
        whole=verified is not None and bool(verified.all()),
    )


def touching(folder: Path, index: int = 1) -> SnapshotImage:
    """Two touching animals, 96 x 128; the lower quarter is unverified."""
    masks, verified = np.zeros((2, 96, 128), bool), np.ones((96, 128), bool)
    masks[0, 20:60, 10:50], masks[1, 20:60, 50:90] = True, True
    verified[72:] = False
    labels = ((1, rle_of_mask(masks[0])), (index, rle_of_mask(masks[1])))
    return record(folder / "touching.png", np.zeros((96, 128, 3), np.uint8), labels, verified)


def barn(folder: Path, k: int, labeled: bool, index: int) -> SnapshotImage:
    """A scene; its first animal is of class 1, the others of `index`."""
    herd = scene(k, "corner-pen", width=192, height=128)
    classes = [1] + [index] * (len(herd.masks) - 1)
    labels = tuple((c, rle_of_mask(mask)) for c, mask in zip(classes, herd.masks, strict=True))
    verified = np.ones((128, 192), bool) if labeled else None
    return record(folder / f"{k}.png", herd.image, labels if labeled else (), verified)


def job(folder: Path, categories: list[Category], index: int = 1) -> Path:
    folder.mkdir()
    images = [barn(folder, k, labeled=k < 2, index=index) for k in range(4)]
    snapshot = write_content(categories, images, folder / "snapshots")
    spec = {"snapshot": str(snapshot.folder), "version": "v1", "parent": None, "train": TINY}
    (folder / "config.json").write_text(json.dumps(spec))
    return folder


def test_frames_show_the_band_where_somebody_vouches(tmp_path: Path) -> None:
    image = touching(tmp_path)
    _, plain = load_frame(image, Scaling(128))
    _, encoded = load_frame(image, Scaling(128), "contact_band")
    np.testing.assert_array_equal(encoded == IGNORE, plain == IGNORE)
    assert (encoded[72:] == IGNORE).all()
    np.testing.assert_array_equal((encoded == BODY) | (encoded == BAND), plain == 1)
    assert encoded[40, [20, 48, 51, 80]].tolist() == [BODY, BAND, BAND, BODY]


def test_the_band_is_as_wide_at_training_size(tmp_path: Path) -> None:
    image = touching(tmp_path)
    _, half = load_frame(image, Scaling(64), "contact_band")
    assert half.shape == (48, 64)
    assert (half[20, 17:33] == BAND).all()  # eight pixels on both sides of x = 25


def test_void_is_no_animal(tmp_path: Path) -> None:
    image = touching(tmp_path, index=VOID)
    _, encoded = load_frame(image, Scaling(128), "contact_band")
    second = mask_of_rle(image.labels[1][1])
    assert (encoded[second] == IGNORE).all()
    assert (encoded == BODY).any()


def test_it_trains_and_predicts_one_category(tmp_path: Path) -> None:
    folder = job(tmp_path / "job", [COW])
    assert train.main([str(folder)]) == train.DONE
    network, meta = load_version(folder / "version")
    assert (network.config.classes, network.config.categories) == (3, 1)
    assert meta["categories"] == ["cow-id"]
    assert 0 <= meta["metrics"]["miou"] <= 1
    made = Predictor.load(folder / "version", device="cpu", threads=1).predict(
        read(folder / "0.png")
    )
    assert made.probability.shape == (2, 32, 48)
    np.testing.assert_allclose(made.probability.sum(0), 1, atol=1e-4)
    np.testing.assert_array_equal(made.uncertainty, uncertainty_map(made.probability))


def test_several_categories_are_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = job(tmp_path / "job", [COW, Category("calf-id", "calf", "#56b4e9", 2)], index=2)
    assert train.main([str(folder)]) == FAILED
    sentence = json.loads((folder / "error.json").read_text())["error"]
    assert "one category" in sentence
    assert sentence.endswith("use classes or merge the categories.")
