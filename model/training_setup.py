"""What a training starts from: the device, the networks and the optimizer of its settings."""

from __future__ import annotations

import torch

from data_io.errors import DataError
from model.backbone import encoder_stride
from model.config import NetworkConfig, TrainConfig, aspp_rates
from model.contrast import MemoryBanks, capacities
from model.methods import Learner
from model.network import SegmentationNetwork


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
    return torch.device(name)


def create_learner(config: TrainConfig, categories: int, device: torch.device) -> Learner:
    """Student and its teacher (a copy), banks and random numbers, all from the seed."""
    stride = encoder_stride(config.backbone, config.output_stride)
    rates = config.aspp or aspp_rates(config.crop, stride)
    torch.manual_seed(config.seed)
    network = NetworkConfig(
        classes=1 + categories,
        backbone=config.backbone,
        output_stride=config.output_stride,
        aspp_rates=rates,
        decoder_channels=config.decoder_channels,
        representation_channels=config.representation_channels,
    )
    student = SegmentationNetwork(network, pretrained=config.pretrained)
    teacher = SegmentationNetwork(network)
    teacher.load_state_dict(student.state_dict())
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    for module in (student, teacher):
        module.to(device).to(memory_format=torch.channels_last)
    rows = capacities(network.classes, config.bank)
    banks = MemoryBanks(rows, config.representation_channels, device)
    generator = torch.Generator().manual_seed(config.seed)
    return Learner(student, teacher.eval(), banks, config, generator)


def create_optimizer(student: SegmentationNetwork, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW with one rate for the encoder and one for everything on top of it."""
    encoder, heads = student.parameter_groups()
    groups = [
        {"params": encoder, "lr": config.lr_encoder},
        {"params": heads, "lr": config.lr_heads},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)
