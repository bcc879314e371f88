"""Train a model version: ``python -m model.train JOB_DIR``.

Reads ``config.json`` ({"snapshot", "version", "parent", "train"}), appends to ``log.jsonl``, keeps
``checkpoint/``, and ends with ``version/`` and ``result.json`` or with ``error.json``.
Exit code 0 = done, 1 = failed, 3 = stopped and resumable by running the same command again.

A version depends on its snapshot and settings alone: training always starts from the backbone's
published weights, and `parent` is only recorded.
"""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_io.atomic import recover_folder
from data_io.errors import DataError, StoreError
from data_io.snapshot import SnapshotImage, read_snapshot
from model import methods, schedule, validation
from model.backbone import normalization
from model.checkpoint import save_version
from model.config import train_config
from model.dataset import Crops, LabeledBatch, UnlabeledBatch, pools
from model.methods import StepLosses
from model.training_job import DONE, STOPPED, disk_sentence, fail, read_spec, write_result
from model.training_log import TrainingLog
from model.training_setup import choose_device, create_learner, create_optimizer
from model.training_state import (
    Cancelled,
    Progress,
    StopRequest,
    copy_weights,
    read_progress,
    restore_state,
    save_state,
)

STARTED = time.monotonic() - time.process_time()  # loading the libraries counts as well
RECENT = 20  # steps behind the estimate of the remaining time
JUDGED_WITHOUT_VALIDATION = 6  # labeled images that show whether a network is degenerate


class NotFiniteError(Exception):
    """The loss left the numbers."""


class Training:
    """One job: its data, its networks, and where it is."""

    def __init__(self, job: Path, stop: StopRequest) -> None:
        self.job, self.stop = job, stop
        self.spec = read_spec(job)
        self.config = train_config(self.spec.get("train", {}))
        self.log = TrainingLog(job / "log.jsonl")
        self.snapshot = read_snapshot(self.spec["snapshot"])
        self.images = pools(self.snapshot)
        self.device = choose_device(self.config)
        mean, std = normalization(self.config.backbone)
        self.crops = Crops(self.images, self.config, mean, std)
        self.names = schedule.phases(self.config, bool(self.images.unlabeled))
        self.learner = create_learner(self.config, len(self.snapshot.categories), self.device)
        self.clock = schedule.Clock(self.config.minutes * 60.0)
        self.first: dict[str, Tensor] | None = None
        self.recent: list[float] = []
        self.progress = self._begin_or_resume()

    def run(self) -> None:
        """Every phase that is left, then the version."""
        with self._checkpoint_on_stop():
            while self.progress.phase < len(self.names):
                self.run_phase()
                self.judge_phase()
        self.finish()

    # --- a phase ----------------------------------------------------------------------------------

    def run_phase(self) -> None:
        """Steps until the phase has its length."""
        progress = self.progress
        saved = time.monotonic()
        self.log.say(self._phase_message(), **self._place())
        for labeled, unlabeled in self._batches():
            self.stop.check()
            began = time.monotonic()
            losses = self._step(labeled, unlabeled)
            progress.step += 1
            self._count(time.monotonic() - began)
            self._report(losses)
            self._say_left_out()
            if time.monotonic() - saved >= self.config.checkpoint_seconds:
                self._refit()
                self.save()
                saved = time.monotonic()

    def _step(self, labeled: LabeledBatch, unlabeled: UnlabeledBatch | None) -> StepLosses:
        learner, progress = self.learner, self.progress
        self._set_rates()
        with self._autocast():
            if unlabeled is None:
                losses = methods.supervised(learner, labeled)
            else:
                learner.progress = progress.step / max(progress.lengths[progress.phase], 1)
                rng = np.random.default_rng((self.config.seed, 9, progress.step))
                losses = methods.STEPS[self.config.method](learner, labeled, unlabeled, rng)
        if not math.isfinite(float(losses.total.detach())):
            raise NotFiniteError
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        self.optimizer.step()
        if unlabeled is not None:
            decay = methods.ema_decay(progress.step, self.config.ema)
            methods.move_teacher(learner.teacher, learner.student, decay)
        return losses

    def _batches(self) -> Iterator[tuple[LabeledBatch, UnlabeledBatch | None]]:
        """The batches of the phase, the next one made while the present one is learned."""
        progress = self.progress
        with ThreadPoolExecutor(max_workers=1) as workers:
            ahead = workers.submit(self._batch, progress.phase, progress.total_step)
            while not self._phase_is_over():
                batch = ahead.result()
                ahead = workers.submit(self._batch, progress.phase, progress.total_step + 1)
                yield batch

    def _batch(self, phase: int, step: int) -> tuple[LabeledBatch, UnlabeledBatch | None]:
        labeled = self.crops.labeled(step)
        labeled = LabeledBatch(labeled.image.to(self.device), labeled.label.to(self.device))
        if self.names[phase] == schedule.SUPERVISED:
            return labeled, None
        more = self.crops.unlabeled(step)
        parts = (part.to(self.device) for part in (more.weak, more.strong, more.valid))
        return labeled, UnlabeledBatch(*parts)

    def _phase_is_over(self) -> bool:
        length = self.progress.lengths[self.progress.phase]
        return 0 < length <= self.progress.step

    def _set_rates(self) -> None:
        """Poly decay over the whole job; the rate stands still until a phase's length is known."""
        progress, config = self.progress, self.config
        length = progress.lengths[progress.phase]
        share = schedule.share(
            progress.phase, len(self.names), progress.step, length, config.first_share
        )
        factor = schedule.poly(share, config.power)
        rates = (config.lr_encoder, config.lr_heads)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor

    # --- time -------------------------------------------------------------------------------------

    def elapsed(self) -> float:
        """Seconds this job has run, before an interruption and since."""
        return self._before + time.monotonic() - STARTED

    def _count(self, seconds: float) -> None:
        """Note a step's time; fix the phase's length once enough steps are measured."""
        progress = self.progress
        self.recent = [*self.recent[1 - RECENT :], seconds]
        if progress.lengths[progress.phase]:
            return
        progress.step_seconds.append(seconds)
        if len(progress.step_seconds) >= schedule.MEASURED:
            self._fix_length(progress.step_seconds[schedule.DISCARDED :])
            length = progress.lengths[progress.phase]
            self.log.say(f"{length} steps fit into the time of this phase", **self._place())

    def _refit(self) -> None:
        """Fit the rest of the phase into its time anew when the machine's speed changed."""
        progress = self.progress
        length = progress.lengths[progress.phase]
        if self.config.steps or not length or self._phase_is_over():
            return
        needed = (length - progress.step) * statistics.median(self.recent)
        if schedule.misfits(progress.step, length, needed, self._phase_left()):
            self._fix_length(self.recent)
            length = progress.lengths[progress.phase]
            self.log.say(f"the machine's speed changed: now {length} steps", **self._place())

    def _fix_length(self, seconds: Sequence[float]) -> None:
        progress = self.progress
        progress.lengths[progress.phase] = schedule.length(
            seconds, progress.step, self._phase_left()
        )

    def _phase_left(self) -> float:
        phase, count = self.progress.phase, len(self.names)
        end = self.clock.phase_end(phase, count, self.config.first_share)
        return end - self.elapsed()

    # --- after a phase ----------------------------------------------------------------------------

    def judge_phase(self) -> None:
        """Measure what the phase made, then set up the next one."""
        progress, learner = self.progress, self.learner
        network = learner.teacher if progress.phase else learner.student
        began = time.monotonic()
        metrics = validation.judge(
            network,
            self._judged_images(),
            self.crops.frames,
            self.crops.mean,
            self.crops.std,
            self.stop.check,
        )
        self.clock.validation = time.monotonic() - began
        self._say_judged(metrics)
        progress.judged.append(metrics)
        if progress.phase == 0 and len(self.names) > 1:
            self.first = copy_weights(learner.student)
            learner.teacher.load_state_dict(learner.student.state_dict())
        progress.phase, progress.step, progress.step_seconds = progress.phase + 1, 0, []
        self.recent = []
        self.save()

    def _judged_images(self) -> list[SnapshotImage]:
        images = self.images
        if images.validation:
            return validation.spread(images.validation, validation.MOST_IMAGES)
        return validation.spread(images.labeled, JUDGED_WITHOUT_VALIDATION)

    def finish(self) -> None:
        """Keep the better phase: write the version and the result."""
        judged = self.progress.judged
        kept, why = validation.choose_phase(judged, bool(self.images.validation))
        metrics = {
            **judged[kept],
            "on": "validation" if self.images.validation else "training",
            "phases": dict(zip(self.names, judged, strict=True)),
        }
        self.log.say(why, **self._place())
        final = self.learner.teacher if len(self.names) > 1 else self.learner.student
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
        )
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
            "eta": self._eta(),
        }

    def _eta(self) -> float:
        """Seconds until the job ends."""
        if not self.config.steps:
            return max(0.0, self.clock.budget - self.elapsed())
        usual = statistics.median(self.recent) if self.recent else 0.0
        return (self.config.steps - self.progress.total_step) * usual + schedule.FINISH_SECONDS

    def _report(self, losses: StepLosses) -> None:
        semi = self.names[self.progress.phase] == schedule.SEMI
        self.log.step(
            force=self._phase_is_over(),
            loss=float(losses.total.detach()),
            loss_supervised=losses.supervised,
            loss_unsupervised=losses.unsupervised if semi else None,
            loss_contrastive=losses.contrastive if semi else None,
            reliable=losses.reliable if semi else None,
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
            self.log.say(f"passed over: {self.crops.left_out.popleft()}", **self._place())

    def _say_judged(self, metrics: dict[str, Any]) -> None:
        words = "validation" if self.images.validation else "labeled"
        iou = "nothing to measure" if metrics["iou"] is None else f"animal IoU {metrics['iou']:.3f}"
        validated = metrics["iou"] if self.images.validation else None
        self.log.say(f"{iou} on {words} images", val_iou=validated, **self._place())

    def save(self) -> None:
        """Replace the checkpoint."""
        self.progress.seconds = self.elapsed()
        save_state(
            self.job / "checkpoint",
            self.progress,
            self.learner,
            self.optimizer,
            self.first,
            self._identity(),
        )

    def _identity(self) -> dict[str, Any]:
        return {"snapshot": self.snapshot.hash, "train": self.config.as_dict()}

    def _begin_or_resume(self) -> Progress:
        self.optimizer = create_optimizer(self.learner.student, self.config)
        progress = read_progress(self.job / "checkpoint", self._identity())
        if progress is None:
            self._before = 0.0
            return Progress(lengths=schedule.fixed_lengths(self.config, self.names))
        self._before = progress.seconds
        folder = self.job / "checkpoint"
        self.first = restore_state(folder, self.learner, self.optimizer)
        self.log.say(f"resumed after step {progress.total_step}", step=progress.total_step)
        return progress

    @contextmanager
    def _checkpoint_on_stop(self) -> Iterator[None]:
        try:
            yield
        except Cancelled:
            self.save()
            self.log.say("stopped; the job can be resumed", **self._place())
            raise

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        on = self.config.autocast and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=on):
            yield


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
