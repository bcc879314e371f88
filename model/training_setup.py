"""What a training starts from: the device, the networks and the optimizer of its settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import nn

from data_io.errors import DataError
from model import distributed, official
from model.backbone import encoder_stride
from model.banks import MemoryBanks, capacities
from model.config import NetworkConfig, TrainConfig, aspp_rates
from model.memory import check_memory
from model.methods import Learner
from model.network import SegmentationNetwork
from model.targets import BAND


def choose_device(config: TrainConfig) -> torch.device:
    """The device of the settings; auto = CUDA, else MPS, else the CPU.

    Raises:
        DataError: this machine has no such device.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name = config.device
    if name == "auto":
        name = next(device for device, found in there.items() if found)
    if not there.get(name, False):
        remedy = "use auto or cpu"
        raise DataError("training settings", f"there is no device {name}", remedy, field="device")
    if config.threads:
        torch.set_num_threads(config.threads)
    if name == "cuda" and config.gpu_share < 1:
        torch.cuda.set_per_process_memory_fraction(config.gpu_share)
    return torch.device(name)


def create_learner(
    config: TrainConfig,
    categories: int,
    device: torch.device,
    animal_size: float = NetworkConfig.animal_size,
) -> Learner:
    """Student and its teacher (a copy), banks and random numbers, all from the seed.

    Args:
        animal_size: of a usual animal at training size, pixels; see `Crops.animal_size`.

    Raises:
        DataError: the settings do not fit the categories or the memory, or the backbone cannot be
            had.
    """
    if config.compat == "official" and distributed.size() > 1:
        why = "the published losses are computed in one process"
        raise DataError("training settings", why, "start one process", field="compat")
    network = network_config(config, categories, animal_size)
    check_memory(config, network, device)
    torch.manual_seed(config.seed)
    student = SegmentationNetwork(network, pretrained=config.pretrained)
    teacher = SegmentationNetwork(network)
    teacher.load_state_dict(student.state_dict())
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    for module in (student, teacher):
        module.to(device).to(memory_format=torch.channels_last)
    sizes = official.capacities if config.compat == "official" else capacities
    rows = sizes(network.classes, config.bank)
    banks = MemoryBanks(rows, config.representation_channels, device)
    generator = torch.Generator().manual_seed(config.seed)
    return Learner(student, teacher.eval(), banks, config, generator)


def network_config(
    config: TrainConfig, categories: int, animal_size: float = NetworkConfig.animal_size
) -> NetworkConfig:
    """The network of the settings for so many categories.

    Raises:
        DataError: as `create_learner`.
    """
    classes = _classes(categories, config)
    stride = encoder_stride(config.backbone, config.output_stride)
    return NetworkConfig(
        classes=classes,
        backbone=config.backbone,
        output_stride=config.output_stride,
        aspp_rates=config.aspp or aspp_rates(config.crop, stride),
        decoder_channels=config.decoder_channels,
        low_channels=config.low_channels,
        representation_channels=config.representation_channels,
        decoder=config.decoder,
        norm=config.norm,
        auxiliary=config.auxiliary > 0,
        encoder_statistics=config.encoder_statistics,
        encoding=config.encoding,
        instances=config.instances,
        animal_size=animal_size,
    )


def _classes(categories: int, config: TrainConfig) -> int:
    """C."""
    if categories < 1:
        why = "the snapshot has no category, which leaves the background alone (C = 1)"
        raise DataError("training", why, "label at least one animal")
    if config.encoding == "contact_band":
        if categories > 1:
            why = f"the contact band tells animals of one category apart and there are {categories}"
            raise DataError(
                "training settings", why, "use classes or merge the categories", field="encoding"
            )
        return BAND + 1
    return 1 + categories


class Grouped(Protocol):
    """A network whose encoder has a learning rate of its own."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]: ...


def create_optimizer(student: Grouped, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD with one rate for the encoder and one for everything on top of it."""
    encoder, heads = student.parameter_groups()
    groups = [
        {"params": encoder, "lr": config.lr_encoder},
        {"params": heads, "lr": config.lr_heads},
    ]
    decay = config.weight_decay
    if config.optimizer == "sgd":
        # Not fused: that fails when the representation head joins in the second phase.
        return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=decay, foreach=True)
    return torch.optim.AdamW(groups, weight_decay=decay, fused=True)  # one pass over the weights
