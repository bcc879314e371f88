"""Share of a training step of the CPU preset that is not the networks: ``python -m
benchmarks.step_share``.

Beside whole steps (wait for the batch, teacher, masks, losses, banks, optimizer, teacher's average)
run bare ones: the same passes of the same networks over crops of the same shapes, forward and
backward, from a batch that is there and with gradients that are given. Blocks of both take turns;
the share is 1 - bare / whole, of medians. In front of each block of whole steps the loader's queue
is used up, so the wait counts. Prints one JSON object and appends it to the results.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import ROOT, append, provenance, tree
from benchmarks.training_steps import prepare, timed_steps, write_scenes
from model import methods
from model.loader import Batch
from model.network import SegmentationNetwork
from model.train import Training

GOAL = 0.10


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--method", default="u2pl")
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8, help="of each kind in a block")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/step_share.jsonl")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshot = write_scenes(folder, options.seed)
        training = prepare(
            folder, snapshot, options.method, seed=options.seed, threads=options.threads
        )
        record = measure(training, options.blocks, options.steps)
    record = {"benchmark": "step_share", **record, **provenance(options.seed)}
    record["model"] = tree("model")
    append(options.out, record)
    print(json.dumps(record))
    return 0


def measure(training: Training, blocks: int, steps: int) -> dict[str, Any]:
    """Whole and bare steps in turns, and where the whole ones spend what is left."""
    whole: list[float] = []
    bare: list[float] = []
    with closing(training._batches()) as batches:
        batch = next(batches)
        timed_steps(training, batches, steps)  # warms up: decodes the scenes, fills the banks
        parts = _Parts(training)
        for _ in range(blocks):
            bare += [bare_step(training, batch) for _ in range(steps)]
            timed_steps(training, batches, training.config.prefetch)  # what was made meanwhile
            parts.reset()
            whole += timed_steps(training, batches, steps)
            parts.keep(steps)
    median, network = statistics.median(whole), statistics.median(bare)
    return {
        "method": training.config.method,
        "threads": torch.get_num_threads(),
        "blocks": blocks,
        "steps_a_block": steps,
        "warm_up": steps,
        "whole_ms": round(1000 * median, 1),
        "network_ms": round(1000 * network, 1),
        "share_not_network": round(1.0 - network / median, 4),
        "goal": GOAL,
        "parts_ms": parts.means(),
    }


def bare_step(training: Training, batch: Batch) -> float:
    """Seconds of the networks' passes of one step, nothing else."""
    learner, (labeled, unlabeled) = training.learner, batch
    student, teacher = learner.student, learner.teacher
    both = training.config.method == "u2pl"
    seen = methods._contrasted(learner, len(labeled.image))
    began = time.perf_counter()
    student.train()
    answers = _answers(student, labeled.image, seen if both else 0)
    if unlabeled is not None:
        with torch.no_grad():
            if both or teacher.has_statistics:
                teacher.eval_with_moving_statistics()
                teacher.forward_both(labeled.image[:seen])
            teacher.eval()
            for _ in range(1 + training.config.teacher_flip):
                teacher.outputs_both(unlabeled.weak)
        student.train_with_fixed_statistics()
        answers += _answers(student, unlabeled.strong, None if both else 0)
    student.zero_grad(set_to_none=True)
    torch.autograd.backward(answers, [torch.ones_like(answer) for answer in answers])
    return time.perf_counter() - began


def _answers(network: SegmentationNetwork, image: Tensor, represented: int | None) -> list[Tensor]:
    """Everything that a loss reads of a pass; representations of so many crops, None = of all."""
    if represented == 0:
        outputs, found = network.outputs(image), []
    else:
        outputs, z = network.outputs_both(image, represented)
        found = [z]
    return [outputs.logits, *found, *(outputs.animals or ())]


class _Parts:
    """Seconds inside some functions of a step, measured by standing in front of them."""

    def __init__(self, training: Training) -> None:
        self.now: dict[str, float] = {}
        self.found: dict[str, list[float]] = {}
        optimizer: Any = training.optimization.optimizer
        optimizer.step = self._timed("optimizer", optimizer.step)
        for name, function in (
            ("teacher's average", "move_teacher"),
            ("contrast", "_with_contrast"),
            ("unsupervised loss", "_with_unsupervised"),
            ("anchors and keys", "select"),
            ("supervised loss", "supervised_loss"),
        ):
            setattr(methods, function, self._timed(name, getattr(methods, function)))
        for name, function in (("quantiles", "partition"), ("confidence", "confident")):
            module = methods.pseudo_labels
            setattr(module, function, self._timed(name, getattr(module, function)))

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.now[name] = self.now.get(name, 0.0) + time.perf_counter() - began

        return call

    def reset(self) -> None:
        """Forget what was measured since the last `keep`."""
        self.now = {}

    def keep(self, steps: int) -> None:
        """Note the seconds of a block of steps."""
        for name, seconds in self.now.items():
            self.found.setdefault(name, []).append(seconds / steps)

    def means(self) -> dict[str, float]:
        """Milliseconds a step, forward only; the rest is backward of the losses, and waiting."""
        return {name: round(1000 * statistics.mean(v), 2) for name, v in self.found.items()}


if __name__ == "__main__":
    raise SystemExit(main())
