"""What the refiner makes of a picture, a mask and clicks."""

from __future__ import annotations

import pytest
import torch

from model.assist.network import ENCODER, Refiner, likeness


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Refiner().eval()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96)])
def test_an_answer_is_as_large_as_the_crop(network, height, width):
    with torch.inference_mode():
        said = network(torch.rand(2, 6, height, width))
    assert said.shape == (2, 1, height, width)
    assert bool(torch.isfinite(said).all())


@pytest.mark.parametrize("channel", [3, 4, 5])
def test_every_hint_is_heard(network, channel):
    crop = torch.rand(1, 6, 64, 64)
    crop[:, 3:] = 0
    told = crop.clone()
    told[:, channel, 20:40, 20:40] = 1
    with torch.inference_mode():
        assert float((network(crop) - network(told)).abs().max()) > 1e-3


def test_what_is_learned_is_all_but_the_encoder(network):
    learned = network.learned()
    rest = {name for name in network.state_dict() if name not in learned}
    assert learned
    assert all(name.startswith(ENCODER) for name in rest)
    assert {name for name, weights in network.named_parameters() if weights.requires_grad} == {
        *learned
    }


def test_likeness_is_one_where_everything_is_as_under_the_hint():
    seen = torch.zeros(1, 4, 4, 6)
    seen[:, 0, :, :3] = 1
    seen[:, 1, :, 3:] = 1
    hints = torch.zeros(1, 3, 4, 6)
    hints[:, 0, 1, 1] = 1
    hints[:, 1, 2, 5] = 0.5
    alike = likeness(seen, hints)
    torch.testing.assert_close(alike[0, 0, :, :3], torch.ones(4, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(alike[0, 0, :, 3:], -torch.ones(4, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(alike[0, 1], -alike[0, 0], atol=2e-3, rtol=0)


def test_a_hint_that_says_nothing_is_like_nothing():
    assert float(likeness(torch.rand(1, 4, 4, 4), torch.zeros(1, 3, 4, 4)).abs().max()) == 0


def test_the_deepest_level_joins_without_a_jump_and_is_heard_then():
    network, crop = Refiner().eval(), torch.rand(1, 6, 64, 64)
    network.shallow = True
    with torch.inference_mode():
        alone = network(crop)
        network.shallow = False
        torch.testing.assert_close(network(crop), alone)
    network(crop).sum().backward()
    assert float(network.narrow[0].weight.grad.abs().max()) > 0
