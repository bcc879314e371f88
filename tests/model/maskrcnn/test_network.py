"""The network: maps of any image size, losses, empty images, weights that cannot be had."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from data_io.errors import DataError
from model.config import train_config
from model.maskrcnn import network
from model.maskrcnn.network import MaskRcnn, MaskRcnnConfig, create_network, network_config
from tests.model.maskrcnn.tiny import CHANNELS, SWIN


def settings(**more: Any) -> MaskRcnnConfig:
    config = train_config({"method": "maskrcnn", "pretrained": False, **more})
    return network_config(config, categories=2)


@pytest.fixture(scope="module")
def tiny() -> MaskRcnn:
    return create_network(settings(), seed=0, pretrained=False)[0]


def test_settings_survive_json_and_name_their_kind() -> None:
    values = settings().as_dict()
    assert values["kind"] == "maskrcnn"
    assert MaskRcnnConfig.of_dict(values) == MaskRcnnConfig(
        3, "swin_tiny_patch4_window7_224", CHANNELS, SWIN
    )


def test_a_snapshot_without_categories_is_a_sentence() -> None:
    with pytest.raises(DataError, match="no category"):
        network_config(train_config({"method": "maskrcnn"}), 0)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (160, 32)])
def test_the_pyramid_takes_any_size(tiny: MaskRcnn, height: int, width: int) -> None:
    maps = tiny.backbone(torch.zeros(2, 3, height, width))
    assert list(maps) == ["0", "1", "2", "3", "pool"]
    for stride, found in zip((4, 8, 16, 32), maps.values(), strict=False):
        assert found.shape == (2, CHANNELS, height // stride, width // stride)


def test_the_published_sizes_are_those_of_swin_t() -> None:
    with torch.device("meta"):
        large = MaskRcnn(MaskRcnnConfig(2, "swin_tiny_patch4_window7_224"))
    encoder, heads = large.parameter_groups()
    assert sum(p.numel() for p in encoder) == 27_517_818
    assert len(encoder) + len(heads) == len(list(large.parameters()))


def one_animal() -> dict[str, torch.Tensor]:
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 10:40, 10:40] = 1
    boxes = torch.tensor([[10.0, 10, 40, 40]])
    return {"boxes": boxes, "labels": torch.tensor([2]), "masks": mask}


def no_animal() -> dict[str, torch.Tensor]:
    return {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 64, 64, dtype=torch.uint8),
    }


def test_every_part_learns_from_animals_and_ground_alone_teaches_no_mask() -> None:
    tiny = create_network(settings(), seed=0, pretrained=False)[0]
    images = list(torch.rand(2, 3, 64, 64))
    losses = tiny(images, [one_animal(), no_animal()])
    assert len(losses) == 5
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in tiny.parameters())
    ground = tiny(images, [no_animal()] * 2)
    assert float(ground["loss_mask"].detach()) == float(ground["loss_box_reg"].detach()) == 0
    assert float(ground["loss_classifier"].detach()) > 0
    assert float(ground["loss_objectness"].detach()) > 0


def test_images_are_looked_at_as_they_are(tiny: MaskRcnn) -> None:
    """Neither scaled nor normalized a second time, at sizes torchvision would enlarge."""
    image = torch.rand(3, 40, 70)
    prepared, _ = tiny.transform([image])
    assert prepared.tensors.shape == (1, 3, 64, 96)
    assert prepared.image_sizes == [(40, 70)]
    assert torch.equal(prepared.tensors[0, :, :40, :70], image)
    assert not prepared.tensors[0, :, 40:].any()


def test_the_seed_decides_the_weights() -> None:
    one, same, other = (create_network(settings(), seed, False)[0] for seed in (1, 1, 2))
    states = [torch.cat([p.flatten() for p in net.parameters()]) for net in (one, same, other)]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_weights_that_cannot_be_had_are_a_sentence_and_random_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = network.timm.create_model

    def offline(name: str, **options: Any) -> Any:
        if options["pretrained"]:
            torch.rand(5)  # what went before must not change the weights
            raise ConnectionError("no route to the hub. Try again.\nSecond line")
        return real(name, **options)

    monkeypatch.setattr(network.timm, "create_model", offline)
    made, why = create_network(settings(), seed=3, pretrained=True)
    plain, nothing = create_network(settings(), seed=3, pretrained=False)
    assert "window7_224 cannot be had (ConnectionError: no route to the hub), so" in why
    assert why.endswith(".")
    assert "\n" not in why
    assert nothing == ""
    assert all(
        torch.equal(a, b) for a, b in zip(made.parameters(), plain.parameters(), strict=True)
    )
