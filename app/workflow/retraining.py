"""When a training starts by itself.

Every training's job holds the counts of the labels it was started on (`labels` in its config).
What has been labeled since is the difference, whatever became of that training: one that failed or
was kept aside has had its chance with these labels. Labels that are made while one runs are part of
the difference, too, and are acted on when it has ended.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from app import jobs, settings
from app.workflow import labels, training
from app.workflow.labels import Labels
from data_io.store import Store
from data_io.types import Job

log = logging.getLogger("herdmark")
RESUMES = 2  # times that a training which something ended from outside is gone on with
_RESUMED = "resumed.json"


@dataclass(frozen=True)
class Outlook:
    """What automatic trainings wait for.

    Attributes:
        reason: why one should start now, in words; "" = none should.
        waits: what has to happen before one starts, one phrase for each trigger that is on.
        running: a training runs; what is due starts when it has ended.
    """

    reason: str
    waits: tuple[str, ...]
    running: bool

    @property
    def sentence(self) -> str:
        """The outlook for the Train page."""
        if self.reason:
            when = "when the present one has ended" if self.running else "now"
            return f"The next training starts by itself {when}: {self.reason}."
        if not self.waits:
            return "Trainings start by hand alone."
        return f"Trains by itself after {', or '.join(self.waits)}."


def outlook(store: Store, since: Labels, idle_minutes: float) -> Outlook:
    """What automatic trainings wait for.

    Args:
        store: the project.
        since: the labels that count as known where nothing was trained yet.
        idle_minutes: since somebody last clicked or saved.
    """
    chosen, there = settings.load(store.project), labels.count(store)
    known = known_labels(store, since)
    reasons, waits = [], []
    for wanted, new, noun in (
        (chosen.retrain_images, there.images - known.images, "accepted image"),
        (chosen.retrain_regions, there.regions - known.regions, "answered region"),
    ):
        if wanted and new >= wanted:
            reasons.append(_plural(new, f"newly {noun}"))
        elif wanted:
            waits.append(_plural(wanted - max(new, 0), f"more {noun}"))
    if chosen.retrain_idle:
        changed = there != known and there.edits > 0
        left = chosen.retrain_idle - idle_minutes
        if changed and left <= 0:
            reasons.append(f"new labels, and nobody has worked for {idle_minutes:.0f} min")
        else:
            waits.append(_idle_phrase(chosen.retrain_idle, changed))
    return Outlook(reasons[0] if reasons else "", tuple(waits), bool(jobs.running(store, "train")))


def known_labels(store: Store, since: Labels) -> Labels:
    """The labels the last training was started on, whatever became of it."""
    last = store.newest_job("train")
    told = last.config.get("labels") if last else None
    return Labels.of_dict(told) if told else since


def begin(store: Store, found: Outlook) -> Job | None:
    """Start what is due; None where nothing is, or a training runs.

    Raises:
        DataError: it cannot start, for instance since a labeled picture is missing.
    """
    if not found.reason or found.running:
        return None
    job = training.start_training(store, training.TrainOptions(reason=found.reason))
    log.info("training job %s started by itself: %s", job.id, found.reason)
    return job


def go_on(store: Store) -> Job | None:
    """Go on with the last training if it was ended from outside (a kill, a power cut).

    At most `RESUMES` times, since what ended it may end it again. What a person cancelled and what
    failed of itself stays as it is.
    """
    last = store.newest_job("train")
    if last is None or last.state not in (*jobs.ACTIVE, "interrupted"):
        return None
    jobs.recover(store)
    last = store.job(last.id)
    if last.state != "interrupted" or jobs.running(store, "train"):
        return None
    file = jobs.job_folder(store, last) / _RESUMED
    times = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else 0
    if times >= RESUMES:
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    jobs.write_json(file, times + 1)
    log.info("training job %s was interrupted and goes on", last.id)
    return jobs.resume_job(store, last.id)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _idle_phrase(minutes: float, changed: bool) -> str:
    return f"{minutes:g} min without work{'' if changed else ' once there are new labels'}"
