"""Training over several processes (``torchrun``) as one process would train on the joint batch.

Crop k of a joint batch belongs to process k mod N, so every process has equally many crops. A
process computes its SHARE of a loss: the sum over its own pixels divided by the count of all
processes. Shares, and the gradients of shares, add up to those of the joint batch; nothing is a
mean of means. Random numbers that choose among joint pixels are drawn alike in every process.

Everything goes through collectives of tensors (gloo on the CPU, NCCL on CUDA), nothing is pickled.
With one process each function gives back what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from data_io.errors import DataError
from model.config import MASK_RCNN, TrainConfig

PATIENCE = timedelta(hours=1)  # the others wait while the leader judges and writes
T = TypeVar("T")


def start(device: torch.device) -> None:
    """Join the processes that torchrun started; nothing to do without it.

    On CUDA each process takes the device of its local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


@contextmanager
def ended() -> Iterator[None]:
    """Leave the group of processes at the end, however that comes."""
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def require_shares(config: TrainConfig) -> None:
    """Every process needs equally many crops, and a method that knows of the others.

    Raises:
        DataError: that is not so.
    """
    if size() > 1 and config.compat == "official":
        why = "the published losses are there to be compared with, in one process"
        raise DataError("training settings", why, "use compat paper", field="compat")
    if size() > 1 and config.method == MASK_RCNN:
        why = f"Mask R-CNN trains in one process and there are {size()}"
        raise DataError("training settings", why, "start one process", field="method")
    for name in ("batch", "batch_unlabeled"):
        crops = getattr(config, name)
        if crops % size():
            why = f"{size()} processes cannot share {crops} crops evenly"
            raise DataError("training settings", why, f"give a multiple of {size()}", field=name)


def join(*networks: nn.Module, seed: int) -> None:
    """Let equal networks of the processes learn as one.

    Their batch norms see the joint batch; dropout differs, since the crops do.
    """
    if rank():
        torch.manual_seed(seed + 7919 * rank())
    for network in networks:
        join_statistics(network)


def size() -> int:
    """N, the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def leads() -> bool:
    """Whether this process writes the log, the checkpoint and the version."""
    return rank() == 0


def own(items: Sequence[T]) -> Sequence[T]:
    """This process's share of what belongs to the crops of a joint batch."""
    return items[rank() :: size()]


def own_part(joint: Tensor) -> Tensor:
    """This process's crops of maps of the joint batch, (N * B, ...) -> (B, ...)."""
    return joint[rank() :: size()]


def total(value: Tensor) -> Tensor:
    """Sum over the processes, without gradient; every process must call it."""
    if size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value


def gathered(maps: Tensor, dim: int = 0) -> Tensor:
    """Maps of the joint batch in the order of its crops along `dim`, without gradient."""
    if size() == 1:
        return maps
    maps = maps.detach().contiguous()
    plain = maps.byte() if maps.dtype == torch.bool else maps  # not every backend sends bool
    parts = [torch.empty_like(plain) for _ in range(size())]
    dist.all_gather(parts, plain)
    joint = torch.stack(parts, dim=dim + 1).flatten(dim, dim + 1)
    return joint.to(maps.dtype)


def following(maps: Tensor) -> Tensor:
    """For each crop the map of the next crop of the joint batch, the first one after the last."""
    return own_part(gathered(maps).roll(-1, dims=0))


class JointPixels:
    """Positions in the joint maps, (labeled, then unlabeled crops) x h x w, flattened.

    Args:
        labeled: labeled crops of this process.
        area: h * w.
    """

    def __init__(self, labeled: int, area: int) -> None:
        self.labeled, self.area = labeled, area

    def masks(self, masks: Tensor) -> Tensor:
        """(..., B, h, w) masks of this process -> (..., N * B, h, w) of the joint batch."""
        if size() == 1:
            return masks
        first = self.labeled
        parts = (masks[..., :first, :, :], masks[..., first:, :, :])
        return torch.cat([gathered(part, part.dim() - 3) for part in parts], dim=-3)

    def here(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the joint positions lie in this process (bool), and its own positions of those.

        Args:
            index: (n,) int64 joint positions.
        """
        if size() == 1:
            return torch.ones_like(index, dtype=torch.bool), index
        crop, pixel = index // self.area, index % self.area
        border = self.labeled * size()
        crop = torch.where(crop < border, crop, crop - border)
        mine = crop % size() == rank()
        place = crop // size() + torch.where(index // self.area < border, 0, self.labeled)
        return mine, (place * self.area + pixel)[mine]

    def rows(self, rows: Tensor, index: Tensor) -> Tensor:
        """Vectors (n, D) at joint positions from each process's own (pixels, D); no gradient."""
        if size() == 1:
            return rows.index_select(0, index)
        mine, places = self.here(index)
        found = torch.zeros(len(index), rows.shape[1], dtype=rows.dtype, device=rows.device)
        found[mine] = rows.detach()[places]
        return total(found)  # zeros elsewhere, so the sum is exact


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by the sum over the processes, in one transfer a data type."""
    if size() == 1:
        return
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            kinds.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in kinds.values():
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, values in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(values.view(gradient.shape))


def agreed(value: float, device: torch.device) -> float:
    """The leader's value in every process: what depends on clocks must be decided once."""
    if size() == 1:
        return value
    sent = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(sent, src=0)
    return float(sent)


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether any process says so."""
    return bool(total(torch.tensor(float(flag), device=device)) > 0)


class _Sum(torch.autograd.Function):
    """Sum over the processes; a share's gradient flows back from every process's loss."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return total(value)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


class JointBatchNorm(nn.BatchNorm2d):
    """Batch norm over the crops of all processes, in float32, on any device.

    `torch.nn.SyncBatchNorm` does the same on CUDA only. Norms of other classes, as some encoders of
    timm have (`BatchNormAct2d`), keep to their process when `encoder_statistics` lets them move.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(B, K, h, w) -> the same shape."""
        if not self.training or size() == 1:
            return super().forward(maps)
        values = maps.float()
        count = values.numel() // values.shape[1] * size()
        mean = _total_of(values.sum(dim=(0, 2, 3))) / count
        centered = values - mean.view(1, -1, 1, 1)
        variance = _total_of(centered.square().sum(dim=(0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt() * self.weight
        joint = centered * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return joint.to(maps.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def _total_of(value: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(value)
    return summed


def join_statistics(network: nn.Module) -> None:
    """Let the batch norms of a network see the joint batch; they keep their state."""
    if size() == 1:
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _joint(child))


def _joint(norm: nn.BatchNorm2d) -> JointBatchNorm:
    joint = JointBatchNorm(norm.num_features, norm.eps, norm.momentum)
    joint.to(next(norm.parameters()).device)
    joint.load_state_dict(norm.state_dict())
    for name, parameter in joint.named_parameters():
        parameter.requires_grad_(norm.get_parameter(name).requires_grad)
    return joint.train(norm.training)
