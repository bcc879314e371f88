"""What a training job remembers across a kill: written whole, read back without pickled code.

A resumed job goes on as if nothing had happened. Everything it depends on is either stored (both
networks, optimizer, gradient scaler, banks, torch's random numbers, the place in the schedule) or a
function of seed and step (batches, views, mixing). On the CPU the final weights are equal bit by
bit, given the same torch, the same kind of processor and the same number of threads: other kernels
and other splits of a sum round differently. Nor does PyTorch promise it on CUDA, where some sums
(of interpolation and indexing, in backward) are made by atomic additions in any order, nor for
several processes whose number or backend changes. A job whose length is given in minutes has as
many steps as time allows, which no second run repeats.
https://docs.pytorch.org/docs/stable/notes/randomness.html
"""

from __future__ import annotations

import io
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from data_io.atomic import recover_folder, whole_folder
from data_io.errors import DataError
from model import distributed
from model.methods import Learner
from model.optimization import Optimization

STATE, PROGRESS = "state.pt", "progress.json"


class Cancelled(Exception):
    """Somebody asked the job to stop, or the process that started it is gone."""


@dataclass
class Progress:
    """Where the job is. Plain JSON values, so the checkpoint can be read by people."""

    phase: int = 0  # index into the phases
    step: int = 0  # steps done in the phase
    lengths: list[int] = field(default_factory=list)  # steps of each phase, 0 = not yet fixed
    first_share: float = 0.0  # of the supervised phase, 0 = not yet fixed
    seconds: float = 0.0  # wall time spent, interruptions not counted
    step_seconds: list[float] = field(default_factory=list)  # of this phase, while it is measured
    judged: list[dict[str, Any]] = field(default_factory=list)  # metrics after each phase

    @property
    def total_step(self) -> int:
        """Steps done in all phases."""
        return sum(self.lengths[: self.phase]) + self.step


def save_state(
    folder: Path,
    progress: Progress,
    learner: Learner,
    optimization: Optimization,
    first: dict[str, Tensor] | None,
    identity: dict[str, Any],
) -> None:
    """Replace the job's checkpoint; every process takes part, the leader writes.

    Args:
        first: weights kept from the first phase.
        identity: snapshot, categories and settings the state belongs to.
    """
    stored = {
        "student": learner.student.state_dict(),
        "teacher": learner.teacher.state_dict() if progress.phase else None,
        "first": first,
        **optimization.state(),
        "banks": learner.banks.state(),
        "generator": learner.generator.get_state(),
        **random_states(optimization.device),
    }
    if distributed.leads():
        write_state(folder, stored, progress, identity)


def write_state(
    folder: Path, stored: dict[str, Any], progress: Progress, identity: dict[str, Any]
) -> None:
    """Replace a checkpoint folder by one that holds `stored`, tensors and plain values."""
    buffer = io.BytesIO()  # torch reports a full disk as a RuntimeError, a file as an OSError
    torch.save(stored, buffer)
    with whole_folder(folder) as draft:
        (draft / STATE).write_bytes(buffer.getbuffer())
        text = json.dumps({"progress": vars(progress), "identity": identity})
        (draft / PROGRESS).write_text(text, encoding="utf-8")


def read_progress(folder: Path, identity: dict[str, Any]) -> Progress | None:
    """Where an earlier process stopped; None without a checkpoint.

    Raises:
        DataError: the checkpoint is of another snapshot or other settings.
    """
    if not recover_folder(folder):
        return None
    stored = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    if stored["identity"] != json.loads(json.dumps(identity)):
        raise DataError(
            folder, "the checkpoint is of another snapshot or other settings", "start a new job"
        )
    return Progress(**stored["progress"])


def restore_state(
    folder: Path, learner: Learner, optimization: Optimization
) -> dict[str, Tensor] | None:
    """Load everything `save_state` wrote into the objects; returns the first phase's weights."""
    stored = read_state(folder)
    learner.student.load_state_dict(stored["student"])
    learner.teacher.load_state_dict(stored["teacher"] or stored["student"])
    optimization.restore(stored)
    learner.banks.restore(stored["banks"])
    learner.generator.set_state(stored["generator"])
    set_random_states(stored, optimization.device)
    first: dict[str, Tensor] | None = stored["first"]
    return first


def read_state(folder: Path) -> dict[str, Any]:
    """What `write_state` stored, on the CPU."""
    stored: dict[str, Any] = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    return stored


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Torch's random numbers, one row (bytes, uint8) a process: "random" and "random_<device>"."""
    states = {"random": torch.get_rng_state()}
    if device.type == "cuda":
        states["random_cuda"] = torch.cuda.get_rng_state()
    rows = {name: state.unsqueeze(0).to(device) for name, state in states.items()}
    return {name: distributed.gathered(row).cpu() for name, row in rows.items()}


def set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Inverse of `random_states`; with more processes than before, rows serve twice."""
    place = distributed.rank() % len(states["random"])
    torch.set_rng_state(states["random"][place].clone())  # a row within a tensor crashes torch
    if device.type == "cuda" and "random_cuda" in states:
        torch.cuda.set_rng_state(states["random_cuda"][place].clone())


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's state on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


class StopRequest:
    """SIGTERM, SIGINT, or the death of the parent process; asked for between steps."""

    def __init__(self) -> None:
        self.asked = False
        self.parent = os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def wanted(self) -> bool:
        """Whether somebody asked, or nobody is there any more who could."""
        return self.asked or os.getppid() != self.parent

    def check(self) -> None:
        """Raises:
        Cancelled: the job should write a checkpoint and end.
        """
        if self.wanted():
            raise Cancelled
