"""Train a model version: ``python -m model.train JOB_DIR``.

Reads ``config.json`` ({"snapshot", "version", "parent", "train"}), appends to ``log.jsonl`` and
``log.csv``, keeps ``checkpoint/``, and ends with ``version/`` and ``result.json`` or with
``error.json``.
Exit code 0 = done, 1 = failed, 3 = stopped and resumable by running the same command again.

Several processes share the crops of every batch with
``torchrun --nproc-per-node N -m model.train JOB_DIR`` (see `model.distributed`); batches mean the
same as with one. torchrun has exit codes of its own.

A version depends on its snapshot and settings alone, and with ``start: warm`` on the version
`parent`, whose weights it begins with; else the backbone's published weights are the beginning and
`parent` is only recorded.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from data_io.atomic import recover_folder
from data_io.errors import DataError, StoreError
from data_io.snapshot import SnapshotImage
from model import distributed, loader, methods, schedule, warm_start
from model.checkpoint import save_version
from model.config import MASK_RCNN
from model.dataset import LabeledBatch, UnlabeledBatch
from model.maskrcnn.training import MaskRcnnTraining
from model.methods import StepLosses
from model.optimization import Optimization
from model.training_job import DONE, STOPPED, disk_sentence, fail, read_spec
from model.training_loop import NotFiniteError, TrainingLoop
from model.training_setup import create_learner
from model.training_state import (
    Cancelled,
    StopRequest,
    copy_weights,
    restore_state,
    save_state,
)


class Training(TrainingLoop):
    """A job that learns what every pixel shows, with one of the methods of `model.methods`."""

    def __init__(self, job: Path, stop: StopRequest) -> None:
        super().__init__(job, stop)
        self.learner = create_learner(
            self.config, len(self.snapshot.categories), self.device, self.crops.animal_size
        )
        told = self._take_over() if self.config.start == "warm" else ""
        distributed.join(self.learner.student, self.learner.teacher, seed=self.config.seed)
        self.optimization = Optimization(self.learner.student, self.config, self.device)
        self.first: dict[str, Tensor] | None = None
        self._begin()
        if told and not self.progress.total_step:
            self.log.say(told, **self._place())

    def _take_over(self) -> str:
        """Begin with the weights of the parent; a sentence for the log."""
        parent = Path(self.spec["parent"]) if self.spec.get("parent") else None
        categories = [category.id for category in self.snapshot.categories]
        student, teacher = self.learner.student, self.learner.teacher
        told = warm_start.take_over(student, parent, categories)
        teacher.load_state_dict(student.state_dict())
        share = self.crops.turns.share
        return f"{told}; {share:.0%} of the labeled crops show new labels" if share else told

    # --- a phase ----------------------------------------------------------------------------------

    def _step(self, labeled: LabeledBatch, unlabeled: UnlabeledBatch | None) -> StepLosses:
        """Learn a batch; the losses are those of the joint batch."""
        learner, progress = self.learner, self.progress
        self.optimization.set_rates(self._rate_factor())
        with self.optimization.autocast():
            if unlabeled is None:
                losses = methods.supervised(learner, labeled)
            else:
                learner.progress = progress.step / max(progress.lengths[progress.phase], 1)
                rng = np.random.default_rng((self.config.seed, 9, progress.step))
                losses = methods.STEPS[self.config.method](learner, labeled, unlabeled, rng)
        told = losses.joint()
        if not math.isfinite(float(told.total.detach())):
            raise NotFiniteError
        self.optimization.step(losses.total)
        if unlabeled is not None:
            length = progress.lengths[progress.phase]
            decay = methods.ema_decay(progress.step, self.config.ema, length, self.config.ema_span)
            methods.move_teacher(learner.teacher, learner.student, decay)
        return told

    def _batches(self) -> Generator[loader.Batch, None, None]:
        """The batches of the phase from here on, on the device."""
        phase, config = self.progress.phase, self.config
        made = loader.ahead(
            lambda step: self._batch(phase, step),
            self.progress.total_step,
            config.prefetch,
            config.workers,
        )
        with closing(made):
            for batch in made:
                yield loader.moved(batch, self.device)

    def _batch(self, phase: int, step: int) -> loader.Batch:
        semi = self.names[phase] == schedule.SEMI
        unlabeled = self.crops.unlabeled(step) if semi else None
        return loader.pinned((self.crops.labeled(step), unlabeled), self.device)

    def _phase_message(self) -> str:
        images = self.images
        if self.names[self.progress.phase] == schedule.SEMI:
            return f"semi-supervised phase with {len(images.unlabeled)} unlabeled images"
        words = f"supervised phase with {len(images.labeled)} labeled images"
        if self.config.method != "supervised" and not images.unlabeled:
            words += "; no image is unlabeled, so there is no second phase"
        return words

    # --- after a phase ----------------------------------------------------------------------------

    def _measure(self, images: Sequence[SnapshotImage]) -> dict[str, Any]:
        learner = self.learner
        network = learner.teacher if self.progress.phase else learner.student
        return self.judging.measure(network, images, self.device)

    def _phase_judged(self) -> None:
        learner = self.learner
        if self.progress.phase == 0 and len(self.names) > 1:
            self.first = copy_weights(learner.student)
            learner.teacher.load_state_dict(learner.student.state_dict())

    def finish(self) -> None:
        """Keep the better phase: write the version and the result."""
        judged, teacher = self.progress.judged, self.learner.teacher
        kept, why, compared = self.judging.choose(judged, teacher, self.first)
        metrics = {**self._metrics(kept), "agreement": compared.as_dict() if compared else None}
        self.log.say(why, **self._place())
        final = teacher if len(self.names) > 1 else self.learner.student
        weights = copy_weights(final) if kept == len(self.names) - 1 else self.first
        assert weights is not None
        final.load_state_dict(weights)
        calibrated = self.judging.calibrate(final, self.device)
        self.log.say(calibrated.words, **self._place())
        save_version(
            self.job / "version",
            weights,
            self.learner.student.config,
            self.config,
            [category.id for category in self.snapshot.categories],
            metrics,
            calibration=calibrated,
            **self._origin(kept),
        )
        self._end(kept, metrics, why)

    # --- checkpoint -------------------------------------------------------------------------------

    def save(self) -> None:
        """Replace the checkpoint."""
        self.progress.seconds = self.pace.elapsed()
        save_state(
            self.job / "checkpoint",
            self.progress,
            self.learner,
            self.optimization,
            self.first,
            self._identity(),
        )

    def _restore(self, folder: Path) -> None:
        self.first = restore_state(folder, self.learner, self.optimization)


# --- the process ----------------------------------------------------------------------------------


def open_job(job: Path, stop: StopRequest) -> TrainingLoop:
    """The training that the settings of a job folder ask for.

    Raises:
        DataError: the job, its settings or its snapshot are not usable.
    """
    settings = read_spec(job).get("train", {})
    if settings.get("method") == MASK_RCNN:
        return MaskRcnnTraining(job, stop)
    return Training(job, stop)


def main(arguments: Sequence[str]) -> int:
    """Run the job folder named by the only argument; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m model.train JOB_DIR", file=sys.stderr)
        return 2
    job = Path(arguments[0])
    if (job / "result.json").exists() and recover_folder(job / "version"):
        return DONE
    (job / "error.json").unlink(missing_ok=True)
    try:
        with distributed.ended():
            open_job(job, StopRequest()).run()
    except Cancelled:
        return STOPPED
    except (DataError, StoreError) as error:
        return fail(job, str(error))
    except NotFiniteError:
        return fail(
            job,
            "training: the loss is not a finite number any more; the last checkpoint is kept, start"
            " a new job with smaller learning rates.",
        )
    except OSError as error:
        return fail(job, disk_sentence(job, error))
    except (RuntimeError, MemoryError) as error:
        what = str(error).splitlines()[0] if str(error) else "out of memory"
        return fail(job, f"training: {what}; try a smaller batch or crop, or device cpu.")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
