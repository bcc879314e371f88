"""Training the refiner: on procedural scenes for everyone, on a project's animals for its herd.

The loss is the mean of the binary cross entropy and the Dice loss (Milletari et al. 2016,
arXiv:1606.04797): the first is right about every pixel, the second about animals of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor
from torch.nn import functional

from data_io.atomic import write_atomic
from data_io.errors import DataError
from model.assist.clicks import discs, next_click
from model.assist.examples import Example
from model.assist.network import ENCODER, Refiner

ROUNDS = 3  # clicks at answers of its own, at most (Sofiiuk et al. 2021, section 3.4)
LARGEST_STEP = 5.0  # norm of all gradients together
Draw = Callable[[np.random.Generator], Example]


@dataclass(frozen=True)
class RefinerConfig:
    """How long and how fast it learns."""

    steps: int = 2400
    batch: int = 8
    plain: int = 1100  # steps before masks of its own are among the examples
    rate: float = 2e-3
    warm_up: int = 50  # steps in which the rate rises
    power: float = 0.9  # of the polynomial by which it falls


class RefinerTraining:
    """A training that can be put away and taken up again.

    Equal seeds, networks and draws give equal weights on one thread.

    Args:
        network: trained in place.
        draw: makes an example with the generator it is given.

    Attributes:
        step: how many are done.
    """

    def __init__(self, network: Refiner, draw: Draw, config: RefinerConfig, seed: int) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.config, self.step = config, 0
        self._draw, self._rng = draw, np.random.default_rng(seed)
        moved = [weights for weights in network.parameters() if weights.requires_grad]
        self._optimizer = torch.optim.AdamW(moved, config.rate, weight_decay=1e-4)

    def run(self) -> Iterator[float]:
        """Do what is left; the loss of each step when it is done."""
        self.network.train()
        while self.step < self.config.steps:
            for group in self._optimizer.param_groups:
                group["lr"] = self.config.rate * _share(self.step, self.config)
            loss = self._learn()
            self.step += 1
            yield loss

    def _learn(self) -> float:
        examples = [self._draw(self._rng) for _ in range(self.config.batch)]
        crops = torch.from_numpy(np.stack([one.crop for one in examples]))
        crops = crops.contiguous(memory_format=torch.channels_last)  # faster on CPUs
        truth = torch.from_numpy(np.stack([one.truth for one in examples]))[:, None]
        with torch.no_grad():
            levels = self.network.encoder(crops[:, :3])
        hints = crops[:, 3:]
        if self.step >= self.config.plain:
            for _ in range(int(self._rng.integers(ROUNDS + 1))):
                hints = self._clicked(levels, hints, truth)
        loss = mask_loss(self.network.answer(levels, hints), truth)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_STEP)
        self._optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def _clicked(self, levels: Sequence[Tensor], hints: Tensor, truth: Tensor) -> Tensor:
        """The hints (B, 3, H, W) when a person has clicked at what the network answers."""
        answers = (self.network.answer(levels, hints) > 0)[:, 0].numpy()
        told = hints.clone()
        for place, (mask, right) in enumerate(zip(answers, truth[:, 0].numpy(), strict=True)):
            click = next_click(right > 0.5, mask)
            if click is not None:
                told[place, 0] = torch.from_numpy(mask)
                shown = torch.from_numpy(discs([click], *mask.shape))
                told[place, 1:] = torch.maximum(told[place, 1:], shown)
        return told

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs: tensors and plain values."""
        return {
            "step": self.step,
            "network": self.network.learned(),
            "optimizer": self._optimizer.state_dict(),
            "random": self._rng.bit_generator.state,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was asked for."""
        self.step = int(state["step"])
        put(self.network, state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rng.bit_generator.state = state["random"]


def _share(step: int, config: RefinerConfig) -> float:
    """Of the full rate, in this step."""
    rise = min(1.0, (step + 1) / config.warm_up)
    return float(rise * (1 - step / config.steps) ** config.power)


def mask_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Of (B, 1, H, W) logits and targets in [0, 1]; a scalar, 0 at best."""
    cross = functional.binary_cross_entropy_with_logits(logits, truth)
    found = torch.sigmoid(logits)
    both = (found * truth).sum((1, 2, 3))
    either = found.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    return 0.5 * (cross + (1 - (2 * both + 1) / (either + 1)).mean())


def put(network: Refiner, learned: Mapping[str, Tensor]) -> None:
    """Give the network these weights, the encoder's keep what they are.

    Raises:
        RuntimeError: they are another network's.
    """
    missing, unknown = network.load_state_dict(learned, strict=False)
    if unknown or not all(name.startswith(ENCODER) for name in missing):
        raise RuntimeError("these are weights of another network")


def save(network: Refiner, path: Path) -> None:
    """Write the weights that training moves.

    Raises:
        StoreError: the disk is full or cannot be written.
    """
    write_atomic(path, to_bytes({k: v.contiguous() for k, v in network.learned().items()}))


def load(path: Path) -> Refiner:
    """The network with these weights.

    Raises:
        DataError: the file is missing, damaged, or of another network.
    """
    network = Refiner()
    try:
        put(network, load_file(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(path, "holds no weights of the refiner", "train it again") from error
    except Exception as error:  # safetensors' own errors share no public base class
        raise DataError(path, "cannot be read", "train it again") from error
    return network
