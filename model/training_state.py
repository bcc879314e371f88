"""What a training job remembers across a kill: written whole, read back without pickled code."""

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
from model.methods import Learner

STATE, PROGRESS = "state.pt", "progress.json"


class Cancelled(Exception):
    """Somebody asked the job to stop, or the process that started it is gone."""


@dataclass
class Progress:
    """Where the job is. Plain JSON values, so the checkpoint can be read by people."""

    phase: int = 0  # index into the phases
    step: int = 0  # steps done in the phase
    lengths: list[int] = field(default_factory=list)  # steps of each phase, 0 = not yet fixed
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
    optimizer: torch.optim.Optimizer,
    first: dict[str, Tensor] | None,
    identity: dict[str, Any],
) -> None:
    """Replace the job's checkpoint.

    Args:
        first: weights kept from the first phase.
        identity: snapshot, categories and settings the state belongs to.
    """
    stored = {
        "student": learner.student.state_dict(),
        "teacher": learner.teacher.state_dict() if progress.phase else None,
        "first": first,
        "optimizer": optimizer.state_dict(),
        "banks": learner.banks.state(),
        "generator": learner.generator.get_state(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
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
    folder: Path, learner: Learner, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor] | None:
    """Load everything `save_state` wrote into the objects; returns the first phase's weights."""
    stored = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    learner.student.load_state_dict(stored["student"])
    learner.teacher.load_state_dict(stored["teacher"] or stored["student"])
    optimizer.load_state_dict(stored["optimizer"])
    learner.banks.restore(stored["banks"])
    learner.generator.set_state(stored["generator"])
    torch.set_rng_state(stored["random"])
    if stored["random_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(stored["random_cuda"])
    first: dict[str, Tensor] | None = stored["first"]
    return first


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

    def check(self) -> None:
        """Raises:
        Cancelled: the job should write a checkpoint and end.
        """
        if self.asked or os.getppid() != self.parent:
            raise Cancelled
