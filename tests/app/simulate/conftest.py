"""A tiny world: bright ellipses on dark ground, and a model that finds them a little off."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from app.simulate.truth import Hidden, HiddenImage
from app.workflow import proposals
from data_io.atomic import file_sha256
from data_io.geometry import parts_of_mask, rle_of_mask
from data_io.types import Instance
from model.prediction import Prediction

WIDTH, HEIGHT = 160, 120


class FakeModel:
    """Sees every ellipse shifted by some pixels, and doubts everything near its outline."""

    def __init__(self, version, category, shift):
        self.version, self.category, self.shift = version, category, shift

    def predict(self, image):
        found = []
        for value in np.unique(image[..., 0]):
            if value < 100:
                continue
            mask = np.roll(image[..., 0] == value, self.shift, axis=1)
            parts = parts_of_mask(mask)
            found.append(Instance(f"{value}", self.category, parts, "model", self.version, 0.9))
        h, w = -(-image.shape[0] // 4), -(-image.shape[1] // 4)
        probability = np.full((2, h, w), 0.5, np.float32)
        unsure = np.zeros((h, w), np.uint8)
        unsure[10:14, 10:14] = 255
        return Prediction(probability, unsure, tuple(found))


class FakeModels:
    """Better by a pixel for every verified image; depends on the project alone."""

    def __init__(self):
        self.trainings = 0
        self.looked = 0

    def trained(self, store, method, seed, number):
        self.trainings += 1
        return self.instant(store)

    def refiner(self, store):
        return lambda crop: crop[0] + 0.2  # bright is animal

    def look_first(self, store):
        self.looked += 1

    def propose(self, store, record):
        model = self.instant(store)
        proposals.propose(store, model, model.version, record)

    def instant(self, store):
        states = store.image_states().values()
        verified = sum(one.verified == "whole" for one in states)
        if not verified:
            return None
        return FakeModel(f"n{verified}", store.categories()[0].id, max(1, 3 - verified))


def _image(folder: Path, number: int, group: str) -> HiddenImage:
    rng = np.random.default_rng(number)
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    animals = []
    for k in range(2 + number % 2):
        center = (30 + 50 * k, int(rng.integers(40, 80)))
        mask = np.zeros_like(pixels)
        cv2.ellipse(mask, center, (20, 14), float(rng.integers(0, 90)), 0, 360, 1, -1)
        pixels[mask > 0] = 120 + 40 * k
        animals.append(("cow", rle_of_mask(mask)))
    file = folder / group / f"{number}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.repeat(pixels[..., None], 3, axis=2))
    sha = file_sha256(file)
    return HiddenImage(str(file), WIDTH, HEIGHT, sha, group, group, tuple(animals))


@pytest.fixture
def hidden(tmp_path: Path) -> Hidden:
    """Six images of two cameras to label, two of another one to judge."""
    folder = tmp_path / "photos"
    pool = tuple(_image(folder, k, f"camera-{k % 2}") for k in range(6))
    return Hidden("world", pool, tuple(_image(folder, k, "camera-9") for k in (6, 7)))


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()
