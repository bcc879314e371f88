"""The recipe of the refiner that ships: ``python -m model.assist.recipe FOLDER [--minutes M]``.

It learns from procedural scenes alone, so that it has seen no photo that anything is measured on.
Scenes come and go while it learns: `HELD` are held, one is replaced every `FRESH` steps. It learns
twice: first without its deepest level (``first.safetensors``), then, slower, as a whole. Stopped at
any moment the same command goes on; the weights are written when all steps are done.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from data_io.atomic import write_atomic
from data_io.scenes import CAMERAS, scene
from model.assist import WEIGHTS
from model.assist.examples import Example, Picture, example
from model.assist.network import Refiner
from model.assist.training import RefinerConfig, RefinerTraining, load, save

FIRST, STATES = "first.safetensors", ("first.pt", "whole.pt")
WHOLE = RefinerConfig(steps=1000, plain=0, rate=1e-3, warm_up=30)  # of the second time
HELD, FRESH = 48, 4
FIRST_SEED = 500_000  # of the scenes; no benchmark uses seeds beyond
SMALLEST = 60  # pixels of an animal that teaches
KEEP = 60.0  # seconds between states on disk
TOLD = 50  # steps between lines


class Scenes:
    """Draws examples from scenes that come and go with the steps of a training."""

    def __init__(self, training_step: int = 0) -> None:
        self._drawn = 0
        self._step = training_step
        self._held: list[Picture] = []
        for number in range(HELD):
            self._held.append(_picture(self._seed_at(number)))

    def _seed_at(self, place: int) -> int:
        """Seed of the scene that is held at a place in this step."""
        rounds = (self._step // FRESH + HELD - 1 - place) // HELD
        return FIRST_SEED + place + HELD * rounds

    def at(self, step: int) -> None:
        """Hold the scenes of a step, which is the one before or the next."""
        if step // FRESH != self._step // FRESH:
            place = (step // FRESH - 1) % HELD
            self._step = step
            self._held[place] = _picture(self._seed_at(place))
        self._step = step

    def draw(self, rng: np.random.Generator) -> Example:
        """An example of one of their animals."""
        picture = self._held[int(rng.integers(len(self._held)))]
        return example(picture, int(rng.integers(len(picture.animals))), rng, drawn=True)


def _picture(seed: int) -> Picture:
    """The first scene from this seed on that shows an animal."""
    cameras = list(CAMERAS)
    while True:
        made = scene(seed, cameras[seed % len(cameras)])
        animals = [np.asarray(mask) for mask in made.masks if mask.sum() >= SMALLEST]
        if animals:
            return Picture(made.image, animals)
        seed += 7919  # a prime: no other place comes there soon


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, or go on training."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    first, end = options.folder / FIRST, time.monotonic() + 60 * options.minutes
    shallow, whole = RefinerConfig(steps=options.steps), replace(WHOLE, steps=options.more)
    if first.is_file():
        network = load(first)
    else:
        network = Refiner()
        network.shallow = True
        if not _trained(network, shallow, options, STATES[0], 0, end):
            return 0
        save(network, first)
        network.shallow = False
    if _trained(network, whole, options, STATES[1], shallow.steps, end):
        save(network, options.folder / WEIGHTS)
        print(options.folder / WEIGHTS)
    return 0


def _trained(
    network: Refiner,
    config: RefinerConfig,
    options: argparse.Namespace,
    name: str,
    before: int,
    end: float,
) -> bool:
    """Whether all steps are done by `end`, on other scenes than those of the `before` steps before.

    Args:
        name: of the file of its state.
    """
    kept = options.folder / name
    state = torch.load(kept, weights_only=True) if kept.is_file() else None
    scenes = Scenes(before + (int(state["step"]) if state else 0))
    training = RefinerTraining(network, scenes.draw, config, options.seed)
    if state:
        training.restore(state)
    _train(training, scenes, before, kept, end)
    done = training.step == config.steps
    if not done:
        print(f"stopped after {training.step} of {config.steps} steps; the same command goes on")
    return done


def _train(training: RefinerTraining, scenes: Scenes, before: int, kept: Path, end: float) -> None:
    saved = time.monotonic()
    losses: list[float] = []
    for loss in training.run():
        losses.append(loss)
        scenes.at(before + training.step)
        if training.step % TOLD == 0:
            mean = float(np.mean(losses[-TOLD:]))
            print(f"{training.step}/{training.config.steps} loss {mean:.4f}", file=sys.stderr)
        now = time.monotonic()
        if now > end or now - saved > KEEP or training.step == training.config.steps:
            _keep(training, kept)
            saved = now
        if now > end:
            return


def _keep(training: RefinerTraining, path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(training.state(), buffer)
    write_atomic(path, buffer.getvalue())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("folder", type=Path, help="where state and weights are kept")
    parser.add_argument("--steps", type=int, default=RefinerConfig().steps, help="at first")
    parser.add_argument("--more", type=int, default=WHOLE.steps, help="steps as a whole")
    parser.add_argument("--minutes", type=float, default=50.0, help="until it stops for now")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
