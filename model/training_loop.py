"""What every training job does, whatever it learns: phases of steps, log, checkpoint and result.

A kind of training says what a step learns, what a phase is judged by and what a version is.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from data_io.atomic import recover_folder
from data_io.snapshot import SnapshotImage, read_snapshot
from model import distributed, schedule, warm_start
from model.backbone import normalization
from model.config import train_config
from model.dataset import Crops, pools
from model.glances import Glances
from model.judging import Judging
from model.methods import StepLosses
from model.optimization import Optimization
from model.pace import Pace
from model.training_job import read_spec, write_result
from model.training_log import TrainingLog
from model.training_setup import choose_device
from model.training_state import Cancelled, Progress, StopRequest, read_progress


class NotFiniteError(Exception):
    """The loss left the numbers."""


class TrainingLoop(ABC):
    """One job: its data, its phases, and where it is.

    A kind of training sets up its network and `optimization`, then calls `_begin`.
    """

    optimization: Optimization
    progress: Progress
    pace: Pace

    def __init__(self, job: Path, stop: StopRequest) -> None:
        self.job, self.stop = job, stop
        self.spec = read_spec(job)
        self.config = train_config(self.spec.get("train", {}))
        self.device = choose_device(self.config)
        distributed.start(self.device)
        distributed.require_shares(self.config)
        self.log = TrainingLog(job, silent=not distributed.leads())
        self.snapshot = read_snapshot(self.spec["snapshot"])
        self.images = pools(self.snapshot)
        mean, std = normalization(self.config.backbone)
        warm = self.config.start == "warm"
        new = warm_start.new_images(self.spec, self.snapshot) if warm else frozenset()
        self.crops = Crops(self.images, self.config, mean, std, new)
        self.names = schedule.phases(self.config, bool(self.images.unlabeled))
        self.judging = Judging(self.crops, len(self.names), stop.check)

    def _begin(self) -> None:
        """Start, or go on where the checkpoint is."""
        self.progress = self._begin_or_resume()
        self.pace = Pace(self.config, self.progress, self.judging.comparison, self.device)
        self.log.begin(self.progress.total_step)
        if self.progress.seconds:
            self.log.say(f"resumed after step {self.progress.total_step}", **self._place())

    def run(self) -> None:
        """Every phase that is left, then the version."""
        with self._checkpoint_on_stop():
            while self.progress.phase < len(self.names):
                self.run_phase()
                self.judge_phase()
        if distributed.leads():
            self.finish()

    # --- what a kind of training says -------------------------------------------------------------

    @abstractmethod
    def _step(self, *batch: Any) -> StepLosses:
        """Learn a batch; the losses are those of the joint batch.

        Raises:
            NotFiniteError: the loss is no number; nothing was learned.
        """

    @abstractmethod
    def _batches(self) -> Generator[tuple[Any, ...], None, None]:
        """The batches of the phase from here on, on the device."""

    @abstractmethod
    def _measure(self, images: Sequence[SnapshotImage]) -> dict[str, Any]:
        """Figures of what the phase has made so far, see `validation.judge`."""

    @abstractmethod
    def _phase_message(self) -> str:
        """What the log says when a phase begins."""

    @abstractmethod
    def save(self) -> None:
        """Replace the checkpoint."""

    @abstractmethod
    def _restore(self, folder: Path) -> None:
        """Load what `save` wrote."""

    @abstractmethod
    def finish(self) -> None:
        """Write the version and the result."""

    def _phase_judged(self) -> None:  # noqa: B027 - most have nothing to do
        """Set up the next phase."""

    # --- a phase ----------------------------------------------------------------------------------

    def run_phase(self) -> None:
        """Steps until the phase has its length."""
        progress, pace = self.progress, self.pace
        saved = began = pace.now()
        glances = Glances(began)
        self.log.say(self._phase_message(), **self._place())
        with closing(self._batches()) as batches:
            while not pace.phase_is_over():
                losses = self._step(*next(batches))
                progress.step += 1
                ended = pace.now()
                if pace.count(ended - began):
                    length = progress.lengths[progress.phase]
                    self.log.say(f"{length} steps fit into the time of this phase", **self._place())
                self._report(losses, self._glance(glances))
                began = pace.now()
                self._say_left_out()
                if self._pause(ended - saved >= self.config.checkpoint_seconds):
                    self._refit()
                    self.save()
                    saved = began = pace.now()

    def _glance(self, glances: Glances) -> float | None:
        """The IoU on a few validation images where it is time to look, else None.

        Processes that train together would wait for the one that looks.
        """
        began = self.pace.now()
        if not self.judging.looked or distributed.size() > 1 or not glances.due(began):
            return None
        found = self._measure(self.judging.looked).get("iou")
        glances.took(began, self.pace.now())
        return found

    def _pause(self, due: bool) -> bool:
        """Whether a checkpoint is due, as all processes see it.

        Raises:
            Cancelled: one of them was asked to stop.
        """
        if distributed.size() == 1:
            self.stop.check()
            return due
        if distributed.any_of(self.stop.wanted(), self.device):
            raise Cancelled
        return bool(distributed.agreed(due, self.device))

    def _rate_factor(self) -> float:
        """Poly decay over the whole job; the rate stands still until a phase's length is known."""
        progress, config = self.progress, self.config
        length = progress.lengths[progress.phase]
        share = schedule.share(
            progress.phase, len(self.names), progress.step, length, self.pace.first_share
        )
        return schedule.poly(share, config.power)

    def _refit(self) -> None:
        if self.pace.refit():
            length = self.progress.lengths[self.progress.phase]
            self.log.say(f"the machine's speed changed: now {length} steps", **self._place())

    # --- after a phase ----------------------------------------------------------------------------

    def judge_phase(self) -> None:
        """Measure what the phase made, then set up the next one."""
        progress = self.progress
        began = self.pace.now()
        metrics = self._measure(self.judging.judged)
        self.pace.clock.validation = self.pace.now() - began
        self._say_judged(metrics)
        progress.judged.append(metrics)
        self._phase_judged()
        progress.phase, progress.step, progress.step_seconds = progress.phase + 1, 0, []
        self.pace.recent = []
        self.save()

    def _metrics(self, kept: int) -> dict[str, Any]:
        """What a version that keeps a phase says about itself."""
        judged = self.progress.judged
        return {
            **judged[kept],
            "on": "validation" if self.images.validation else "training",
            "phases": dict(zip(self.names, judged, strict=True)),
        }

    def _origin(self, kept: int) -> dict[str, Any]:
        """Where a version comes from, see `checkpoint.save_version`."""
        return {
            "version": str(self.spec.get("version", "")),
            "parent": Path(self.spec["parent"]).name if self.spec.get("parent") else "",
            "snapshot": self.snapshot.hash,
            "kept": self.names[kept],
            "small_animal": self.crops.scaling.small,
        }

    def _end(self, kept: int, metrics: dict[str, Any], why: str) -> None:
        """Write the result; the version stands already."""
        self.progress.seconds = self.pace.elapsed()
        write_result(self.job, self.names[kept], metrics, why, self.progress, self.config)
        shutil.rmtree(self.job / "checkpoint", ignore_errors=True)

    # --- log and checkpoint -----------------------------------------------------------------------

    def _place(self) -> dict[str, Any]:
        progress = self.progress
        phase = min(progress.phase, len(self.names) - 1)
        known = all(progress.lengths)
        return {
            "step": progress.total_step,
            "steps": sum(progress.lengths) if known else None,
            "phase": self.names[phase],
            "eta": self.pace.eta(),
        }

    def _report(self, losses: StepLosses, val_iou: float | None) -> None:
        semi = self.names[self.progress.phase] == schedule.SEMI
        rates = [group["lr"] for group in self.optimization.optimizer.param_groups]
        crops = self.config.batch + (self.config.batch_unlabeled if semi else 0)
        self.log.step(
            force=self.pace.phase_is_over() or val_iou is not None,
            val_iou=val_iou,
            loss=float(losses.total.detach()),
            loss_supervised=losses.supervised,
            loss_unsupervised=losses.unsupervised if semi else None,
            loss_contrastive=losses.contrastive if semi else None,
            loss_instances=losses.instances if self.config.instances else None,
            reliable=losses.reliable if semi else None,
            lr_encoder=rates[0],
            lr_heads=rates[1],
            seconds=self.pace.elapsed(),
            images_per_second=crops / statistics.median(self.pace.recent),
            **self._place(),
        )

    def _say_left_out(self) -> None:
        while self.crops.left_out:
            words = f"passed over: {self.crops.left_out.popleft()}"
            self.log.say(words, **self._place())
            if not distributed.leads():  # its log is silent
                print(words, file=sys.stderr)

    def _say_judged(self, metrics: dict[str, Any]) -> None:
        found = metrics.get("iou")
        iou = "nothing to measure" if found is None else f"animal IoU {found:.3f}"
        validated = found if self.images.validation else None
        words = f"{iou} on {self.judging.words} images"
        self.log.say(words, val_iou=validated, **self._place())

    def _identity(self) -> dict[str, Any]:
        return {"snapshot": self.snapshot.hash, "train": self.config.as_dict()}

    def _begin_or_resume(self) -> Progress:
        folder = self.job / "checkpoint"
        if distributed.leads():
            recover_folder(folder)
        distributed.agreed(0.0, self.device)  # nobody reads before that is done
        progress = read_progress(folder, self._identity())
        if progress is None:
            return Progress(lengths=schedule.fixed_lengths(self.config, self.names))
        self._restore(folder)
        return progress

    @contextmanager
    def _checkpoint_on_stop(self) -> Iterator[None]:
        try:
            yield
        except Cancelled:
            self.save()
            self.log.say("stopped; the job can be resumed", **self._place())
            raise
