"""The refiner learns what it is shown, and is kept whole."""

from __future__ import annotations

import errno
from itertools import islice

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data_io.errors import DataError, StoreError
from data_io.scenes import scene
from model.assist.crops import SIDE
from model.assist.examples import Picture, example
from model.assist.network import Refiner
from model.assist.training import RefinerConfig, RefinerTraining, load, mask_loss, save


@pytest.fixture(scope="module")
def shown():
    """Four examples that are shown again and again."""
    made = scene(3, "ceiling-straw", 0, 320, 240)
    picture = Picture(made.image, [np.asarray(mask) for mask in made.masks])
    rng = np.random.default_rng(0)
    return [example(picture, k % len(picture.animals), rng) for k in range(4)]


CONFIG = RefinerConfig(steps=8, batch=2, warm_up=1, rate=3e-3)


def begun(shown, network):
    return RefinerTraining(network, lambda rng: shown[int(rng.integers(len(shown)))], CONFIG, 0)


@pytest.fixture(scope="module")
def fresh():
    torch.manual_seed(0)
    return Refiner()


def test_the_loss_falls_and_the_encoder_stays(shown):
    torch.manual_seed(0)
    network = Refiner()
    before = {k: v.clone() for k, v in network.encoder.state_dict().items()}
    found = list(begun(shown, network).run())
    assert min(found[-3:]) < 0.9 * found[0]
    for name, value in network.encoder.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, msg=name)


def test_what_was_interrupted_goes_on_to_the_same_weights(shown):
    torch.manual_seed(0)
    whole, half, rest = Refiner(), Refiner(), Refiner()
    half.load_state_dict(whole.state_dict())
    list(begun(shown, whole).run())
    first = begun(shown, half)
    list(islice(first.run(), 3))
    second = begun(shown, rest)
    second.restore(first.state())
    list(second.run())
    assert second.step == CONFIG.steps
    for name, value in whole.learned().items():
        torch.testing.assert_close(rest.learned()[name], value, msg=name)


def test_weights_are_saved_without_the_encoder_that_is_installed(fresh, tmp_path):
    save(fresh, tmp_path / "refiner.safetensors")
    assert (tmp_path / "refiner.safetensors").stat().st_size < 1e6
    again = load(tmp_path / "refiner.safetensors").eval()
    crop = torch.rand(1, 6, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(again(crop), fresh.eval()(crop))


def test_a_save_that_fails_leaves_the_last_weights(fresh, tmp_path, monkeypatch):
    path = tmp_path / "refiner.safetensors"
    save(fresh, path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(StoreError):
        save(fresh, path)
    assert path.read_bytes() == before


def full_disk(*_):
    raise OSError(errno.ENOSPC, "no space")


def test_weights_of_another_network_are_one_sentence(tmp_path):
    save_file({"levels.0.other": torch.zeros(2)}, tmp_path / "refiner.safetensors")
    with pytest.raises(DataError, match="holds no weights of the refiner"):
        load(tmp_path / "refiner.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"rubbish" * 99])
def test_a_file_that_is_none_is_one_sentence(tmp_path, content):
    path = tmp_path / "refiner.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="train it again"):
        load(path)


def test_the_loss_is_zero_for_the_right_answer_alone():
    truth = torch.zeros(2, 1, 8, 8)
    truth[:, :, 2:5, 3:7] = 1
    assert float(mask_loss(40 * (truth - 0.5), truth)) == pytest.approx(0, abs=1e-3)
    assert float(mask_loss(-40 * (truth - 0.5), truth)) > 5


def test_draws_are_of_the_size_of_a_crop(shown):
    assert all(one.truth.shape == (SIDE, SIDE) for one in islice(shown, 4))
