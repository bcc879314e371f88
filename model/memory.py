"""Whether a training can fit into memory at all, told before it starts.

Without this a crop that is too large ends on the CPU with the process killed and no word. The
estimate is a lower bound: what the network keeps for its gradient, counted exactly on tensors
without data, and the weights. It refuses only what cannot fit into an otherwise empty machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from data_io.errors import DataError
from model import distributed
from model.config import NetworkConfig, TrainConfig
from model.network import MULTIPLE, SegmentationNetwork

_PROBE = 4 * MULTIPLE  # side of the crop whose memory is counted; it grows with the area
_COPIES = 5  # of the weights: student, teacher, gradient, and up to two of the optimizer
Network = TypeVar("Network", bound=torch.nn.Module)
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container, "max" without one


def check_memory(config: TrainConfig, network: NetworkConfig, device: torch.device) -> None:
    """Refuse a training that cannot fit.

    Raises:
        DataError: it needs more than the device has.
    """
    there = device_bytes(device, config.gpu_share)
    # Processes have a CUDA device each, but share the memory of a machine.
    processes = distributed.size() if device.type == "cuda" else 1
    needed = needed_bytes(config, network) / processes
    crops = f"{config.batch} + {config.batch_unlabeled} crops of {config.crop} pixels"
    refuse_beyond(needed, there, crops)


def refuse_beyond(needed: float, there: int | None, crops: str) -> None:
    """Refuse crops, told in words, that need more bytes than are there.

    Raises:
        DataError: they do.
    """
    if there is not None and needed > there:
        why = (
            f"{crops} need about {needed / 2**30:.1f} GB of memory"
            f" and there are {there / 2**30:.1f}"
        )
        raise DataError("training settings", why, "choose a smaller crop or batch", field="crop")


def needed_bytes(config: TrainConfig, network: NetworkConfig) -> float:
    """Bytes a step takes at least."""
    weights, kept = _network_bytes(network)
    crops = config.batch + (config.batch_unlabeled if config.method != "supervised" else 0)
    half = 1 if config.autocast == "off" else 2
    scores = 2 * network.classes * 4 * config.crop**2  # of every pixel, and their logarithms
    return _COPIES * weights + crops * (kept * (config.crop / _PROBE) ** 2 / half + scores)


@lru_cache
def _network_bytes(config: NetworkConfig) -> tuple[int, int]:
    """Bytes of the weights, and of what one crop of `_PROBE` pixels leaves for the gradient."""
    return kept_bytes(lambda: SegmentationNetwork(config), SegmentationNetwork.outputs_both, _PROBE)


def kept_bytes(
    create: Callable[[], Network], look: Callable[[Network, Tensor], Any], side: int
) -> tuple[int, int]:
    """Bytes of a network's weights, and of what one crop leaves for the gradient.

    Args:
        create: the network. look: its forward pass.
        side: of the crop, pixels.
    """
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()  # several layers may keep the same one
        return tensor

    with torch.device("meta"):
        network = create().train()
        image = torch.empty(1, 3, side, side)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            alive = look(network, image)  # storages freed meanwhile would count as one
    del alive
    return sum(p.nbytes for p in network.parameters()), sum(sizes.values())


def device_bytes(device: torch.device, share: float = 1.0) -> int | None:
    """Memory of the device, or of the machine or container; None where nobody tells.

    Args:
        share: of a CUDA device's memory that may be taken.
    """
    if device.type == "cuda":
        return int(share * torch.cuda.get_device_properties(device).total_memory)
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on every platform
        return None
    try:
        return min(whole, int(_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return whole
