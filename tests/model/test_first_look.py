"""The first look: chances from cells, and what the published classifier says about pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_io.errors import DataError
from data_io.images import read
from model.embedding import LENGTH
from model.first_look import ANIMALS, FirstLook, first_look_file, foreground

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return FirstLook(first_look_file(tmp_path_factory.mktemp("look")), 1)


def test_eight_likely_cells_make_an_animal_visible():
    cells = np.zeros((12, 16), np.float32)
    assert foreground(cells) == 0
    cells[4, 4:12] = 0.8
    assert foreground(cells) == pytest.approx(0.5)
    cells[4, 4:12] = 1
    assert foreground(cells) == 1


def test_a_speck_is_no_animal():
    cells = np.zeros((12, 16), np.float32)
    cells[4, 4] = 1
    assert foreground(cells) < 0.1


def test_an_image_of_fewer_cells_is_judged_by_those_it_has():
    assert foreground(np.full((1, 2), 0.8, np.float32)) == pytest.approx(0.5)


def test_birds_and_mammals_are_asked_for_each_once():
    assert len(set(ANIMALS)) == len(ANIMALS) == 307
    cow, hen, horse, frog, snail = 345, 8, 339, 32, 113
    assert {cow, hen, horse} <= set(ANIMALS)
    assert not {frog, snail} & set(ANIMALS)


@pytest.mark.parametrize("size", [(1, 1), (70, 130), (600, 900)])
def test_every_image_has_a_vector_and_a_chance(network, size):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    vector, chance = network.at(picture)
    assert vector.shape == (LENGTH,)
    assert np.isfinite(vector).all()
    assert 0 <= chance <= 1
    np.testing.assert_array_equal(network.at(picture)[0], vector)


def test_the_file_is_made_once(tmp_path, monkeypatch):
    (tmp_path / first_look_file(tmp_path).name).write_bytes(b"there")
    monkeypatch.setattr("subprocess.run", None)
    assert first_look_file(tmp_path).read_bytes() == b"there"


def test_a_damaged_network_is_one_sentence(tmp_path):
    path = tmp_path / "look.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="is no network"):
        FirstLook(path)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_cattle_on_a_pasture_are_seen_and_none_in_a_street(network):
    def chances(folder, count=8):
        files = sorted((DATA / folder / "images").iterdir())[:: max(1, 25 // count)][:count]
        return [network.at(read(file))[1] for file in files]

    assert min(chances("cattle_pasture_holstein")) > 0.5
    assert np.median(chances("camvid_small")) < 0.2
