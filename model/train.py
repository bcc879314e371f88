"""Train a model version: ``python -m model.train JOB_DIR``.

Reads ``config.json`` ({"snapshot", "version", "parent", "train"}), appends to ``log.jsonl`` and
``log.csv``, keeps ``checkpoint/``, and ends with ``version/`` and ``result.json`` or with
``error.json``.
Exit code 0 = done, 1 = failed, 3 = stopped and resumable by running the same command again.

Several processes share the crops of every batch with
``torchrun --nproc-per-node N -m model.train JOB_DIR`` (see `model.distributed`); batches mean the
same as with one. torchrun has exit codes of its own.

A version depends on its snapshot and settings alone: training always starts from the backbone's
published weights, and `parent` is only recorded.
"""

from __future__ import annotations

import math
import shutil
import statistics
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from data_io.atomic import recover_folder
from data_io.errors import DataError, StoreError
from data_io.snapshot import read_snapshot
from model import distributed, loader, methods, schedule
from model.backbone import normalization
from model.checkpoint import save_version
from model.config import train_config
from model.dataset import Crops, LabeledBatch, UnlabeledBatch, pools
from model.judging import Judging
from model.methods import StepLosses
from model.optimization import Optimization
from model.pace import Pace
from model.training_job import DONE, STOPPED, disk_sentence, fail, read_spec, write_result
from model.training_log import TrainingLog
from model.training_setup import choose_device, create_learner
from model.training_state import (
    Cancelled,
    Progress,
    StopRequest,
    copy_weights,
    read_progress,
    restore_state,
    save_state,
)


class NotFiniteError(Exception):
    """The loss left the numbers."""


class Training:
    """One job: its data, its networks, and where it is."""

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
        self.crops = Crops(self.images, self.config, mean, std)
        self.names = schedule.phases(self.config, bool(self.images.unlabeled))
        self.learner = create_learner(
            self.config, len(self.snapshot.categories), self.device, self.crops.animal_size
        )
        distributed.join(self.learner.student, self.learner.teacher, seed=self.config.seed)
        self.optimization = Optimization(self.learner.student, self.config, self.device)
        self.first: dict[str, Tensor] | None = None
        self.progress = self._begin_or_resume()
        self.judging = Judging(self.crops, len(self.names), stop.check)
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

    # --- a phase ----------------------------------------------------------------------------------

    def run_phase(self) -> None:
        """Steps until the phase has its length."""
        progress, pace = self.progress, self.pace
        saved = began = pace.now()
        self.log.say(self._phase_message(), **self._place())
        with closing(self._batches()) as batches:
            while not pace.phase_is_over():
                losses = self._step(*next(batches))
                progress.step += 1
                ended = pace.now()
                if pace.count(ended - began):
                    length = progress.lengths[progress.phase]
                    self.log.say(f"{length} steps fit into the time of this phase", **self._place())
                began = ended
                self._report(losses)
                self._say_left_out()
                if self._pause(ended - saved >= self.config.checkpoint_seconds):
                    self._refit()
                    self.save()
                    saved = began = pace.now()

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
        progress, learner = self.progress, self.learner
        network = learner.teacher if progress.phase else learner.student
        began = self.pace.now()
        metrics = self.judging.measure(network, self.device)
        self.pace.clock.validation = self.pace.now() - began
        self._say_judged(metrics)
        progress.judged.append(metrics)
        if progress.phase == 0 and len(self.names) > 1:
            self.first = copy_weights(learner.student)
            learner.teacher.load_state_dict(learner.student.state_dict())
        progress.phase, progress.step, progress.step_seconds = progress.phase + 1, 0, []
        self.pace.recent = []
        self.save()

    def finish(self) -> None:
        """Keep the better phase: write the version and the result."""
        judged, teacher = self.progress.judged, self.learner.teacher
        kept, why, compared = self.judging.choose(judged, teacher, self.first)
        metrics = {
            **judged[kept],
            "on": "validation" if self.images.validation else "training",
            "phases": dict(zip(self.names, judged, strict=True)),
            "agreement": compared.as_dict() if compared else None,
        }
        self.log.say(why, **self._place())
        final = teacher if len(self.names) > 1 else self.learner.student
        weights = copy_weights(final) if kept == len(self.names) - 1 else self.first
        assert weights is not None
        save_version(
            self.job / "version",
            weights,
            self.learner.student.config,
            self.config,
            [category.id for category in self.snapshot.categories],
            metrics,
            version=str(self.spec.get("version", "")),
            parent=Path(self.spec["parent"]).name if self.spec.get("parent") else "",
            snapshot=self.snapshot.hash,
            kept=self.names[kept],
            small_animal=self.crops.scaling.small,
        )
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

    def _report(self, losses: StepLosses) -> None:
        semi = self.names[self.progress.phase] == schedule.SEMI
        rates = [group["lr"] for group in self.optimization.optimizer.param_groups]
        crops = self.config.batch + (self.config.batch_unlabeled if semi else 0)
        self.log.step(
            force=self.pace.phase_is_over(),
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

    def _phase_message(self) -> str:
        images = self.images
        if self.names[self.progress.phase] == schedule.SEMI:
            return f"semi-supervised phase with {len(images.unlabeled)} unlabeled images"
        words = f"supervised phase with {len(images.labeled)} labeled images"
        if self.config.method != "supervised" and not images.unlabeled:
            words += "; no image is unlabeled, so there is no second phase"
        return words

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
        self.first = restore_state(folder, self.learner, self.optimization)
        return progress

    @contextmanager
    def _checkpoint_on_stop(self) -> Iterator[None]:
        try:
            yield
        except Cancelled:
            self.save()
            self.log.say("stopped; the job can be resumed", **self._place())
            raise


# --- the process ----------------------------------------------------------------------------------


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
            Training(job, StopRequest()).run()
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
