"""The Train page's words, tables and curves as HTML; gradio-free so that tests can read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from app.jobs import ACTIVE, RESUMABLE
from app.pages.words import age, badge, button, duration, empty, percent, plural, short, table, text
from data_io.types import Job, ModelVersion

Log = Sequence[Mapping[str, Any]]

STATE_WORDS = {
    "queued": "waiting",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted",
}
KIND_WORDS = {"train": "training", "propose": "proposals", "import": "import"}
PHASE_WORDS = {
    "supervised": "phase 1 of 2: learning from labeled images",
    "semi": "phase 2 of 2: learning from labeled and unlabeled images",
}
DOING = {
    "train": "preparing",
    "propose": "computing proposals",
    "import": "reading the images",
}
UNITS = {"train": "step"}  # what a job counts, images where nothing is said
FRESH_SECONDS = 10.0  # within which a job that has ended may start the next one
PHASE_NAMES = {"supervised": "supervised", "semi": "semi-supervised"}
GOING_BACK = (
    "Its proposals are computed again for every image, and the queue follows them. What you drew,"
    " verified and answered stays as it is."
)
PLOT = (960, 170)
PAD = 26


def progress(job: Job, log: Log, stopping: bool = False, curves: Log = ()) -> str:
    """Progress bar, figures and curves of one job.

    Args:
        log: the last lines of its log, newest last.
        stopping: somebody asked it to end.
        curves: lines with what is drawn, from the first step on; none = those of the log.
    """
    entry = _newest(job, log, curves)
    share = 1.0 if job.state == "done" else _share(job, entry)
    told = str(entry.get("message") or DOING[job.kind])
    phase = PHASE_WORDS.get(str(entry.get("phase", "")), told)
    head = (
        f'<div class="hm-progress-head"><b>{text(KIND_WORDS[job.kind].capitalize())}</b>'
        f"{_state_word(job, stopping)}"
        f"<span>{text(phase) if job.state == 'running' else ''}</span></div>"
    )
    bar = (
        f'<div class="hm-bar" role="progressbar" aria-label="progress" aria-valuemin="0"'
        f' aria-valuemax="100" aria-valuenow="{share * 100:.0f}">'
        f'<div style="width:{share * 100:.1f}%"></div></div>'
    )
    return head + bar + _figures(job, entry) + _curves(curves or log) + _problem(job)


def _newest(job: Job, log: Log, curves: Log) -> dict[str, Any]:
    """The newest value of everything that is told about a job."""
    entry: dict[str, Any] = dict(job.progress)
    for line in (*curves, *log):
        entry.update({name: value for name, value in line.items() if value is not None})
    if job.progress.get("message") and not job.progress.get("phase"):
        # The worker speaks for itself: no trainer runs, and what its log says last is over.
        entry |= {"message": job.progress["message"], "phase": None}
    return entry


def _share(job: Job, entry: Mapping[str, Any]) -> float:
    """How much of a job is done, in [0, 1]: of its time where that limits it, else of its steps.

    Steps that become known on the way do not change the measure, or the bar would jump back.
    """
    minutes, left = _number(_settings(job).get("minutes")), _number(entry.get("eta"))
    step, steps = _number(entry.get("step")), _number(entry.get("steps"))
    share = 0.0
    if minutes and left is not None:
        share = 1 - left / (60 * minutes)
    elif not minutes and step is not None and steps:
        share = step / steps
    return min(max(share, 0.0), 1.0)


def is_fresh(jobs: Sequence[Job]) -> bool:
    """True when a job has just ended or begun, so that another may be about to show."""
    now = datetime.now(timezone.utc)
    return any((now - job.updated).total_seconds() < FRESH_SECONDS for job in jobs)


def cancelled(job: Job) -> str:
    """What to say about a job after it was asked to stop."""
    if job.state in {"queued", "running"}:
        return "The job is stopping; its last good state is kept."
    if job.state == "cancelled":
        return "The job was cancelled; its last good state is kept."
    return f"The job was too far on to be cancelled: it is {STATE_WORDS[job.state]}."


def _state_word(job: Job, stopping: bool) -> str:
    word = "stopping …" if stopping else STATE_WORDS[job.state]
    return f'<span class="hm-state hm-{job.state}">{word}</span>'


def _figures(job: Job, entry: Mapping[str, Any]) -> str:
    cells = []
    step, steps = _number(entry.get("step")), _number(entry.get("steps"))
    if step is not None and steps:
        cells.append((UNITS.get(job.kind, "images"), f"{step:.0f} / {steps:.0f}"))
    eta = _number(entry.get("eta"))
    over = job.kind == "train" and not entry.get("phase")  # what follows has no time set for it
    if eta is not None and eta >= 1 and job.state == "running" and not over:
        cells.append(("time left", duration(eta)))
    for key, name in (
        ("loss", "loss"),
        ("loss_supervised", "labeled"),
        ("loss_unsupervised", "unlabeled"),
        ("loss_contrastive", "contrast"),
        ("loss_instances", "telling apart"),
    ):
        value = _number(entry.get(key))
        if value is not None:
            cells.append((name, f"{value:.3f}"))
    for key, name in (("reliable", "reliable pixels"), ("val_iou", "validation IoU")):
        value = _number(entry.get(key))
        if value is not None:
            cells.append((name, percent(value)))
    body = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells)
    return f'<dl class="hm-figures">{body}</dl>' if cells else ""


def _curves(log: Log) -> str:
    """An SVG with the loss and, on its own scale, the validation IoU."""
    # The whole loss gains terms in the second phase, so only the labeled part is one curve.
    loss = _points(log, "loss_supervised") or _points(log, "loss")
    iou = _points(log, "val_iou")
    if len(loss) < 2:
        return ""
    last = max(loss[-1][0], iou[-1][0] if iou else 0.0, 1.0)
    top = max(value for _, value in loss) or 1.0
    lines = _path(loss, last, top, "hm-loss") + _path(iou, last, 1.0, "hm-iou")
    width, height = PLOT
    labels = (
        f'<text x="{PAD}" y="12">{top:.2f}</text><text x="{width - PAD}" y="12"'
        f' text-anchor="end">100 %</text><text x="{PAD}" y="{height - 3}">0</text>'
        f'<text x="{width - PAD}" y="{height - 3}" text-anchor="end">step {last:.0f}</text>'
    )
    legend = '<span class="hm-key hm-loss">loss on labels</span>'
    legend += '<span class="hm-key hm-iou">validation IoU</span>' if iou else ""
    return (
        f'<figure class="hm-plot"><svg viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="loss on labels and validation IoU over the steps">{lines}{labels}</svg>'
        f"<figcaption>{legend}</figcaption></figure>"
    )


def _points(log: Log, name: str) -> list[tuple[float, float]]:
    found = []
    for line in log:
        step, value = _number(line.get("step")), _number(line.get(name))
        if step is not None and value is not None:
            found.append((step, value))
    return found


def _path(points: Sequence[tuple[float, float]], last: float, top: float, kind: str) -> str:
    if not points:
        return ""
    width, height = PLOT[0] - 2 * PAD, PLOT[1] - 2 * PAD + 8
    spots = [
        (PAD + width * step / last, PAD - 8 + height * (1 - min(value / top, 1.0)))
        for step, value in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    x, y = spots[-1]
    tip = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    return f'<polyline class="{kind}" points="{line}"/>{tip}'


def _problem(job: Job) -> str:
    return f'<p class="hm-problem" role="alert">{text(job.error)}</p>' if job.error else ""


def jobs_table(jobs: Sequence[Job], stopping: Collection[str] = ()) -> str:
    """The history, newest first, with what can be done about each; `stopping` are ids."""
    if not jobs:
        return empty("No job has run yet.", "Start the first training on the left.")
    # An older run for proposals was replaced by the newest one.
    newest = next((job.id for job in jobs if job.kind == "propose"), None)
    training = any(job.kind == "train" and job.state in ACTIVE for job in jobs)
    rows = [
        (
            text(KIND_WORDS[job.kind]),
            _state_word(job, job.id in stopping),
            text(age(job.created)),
            text(job.error or _outcome(job) or _plan(job)),
            "" if job.id in stopping else _buttons(job, newest, training),
        )
        for job in jobs
    ]
    return table(("Job", "State", "Started", "What happened", ""), rows, "job history")


def _buttons(job: Job, newest: str | None, training: bool) -> str:
    """What can be done about a job; no training goes on beside another one."""
    if job.state in ACTIVE:
        return button("cancel", job.id, "Cancel", title="keep the last good state and stop")
    if job.kind == "train" and job.state in RESUMABLE and not training:
        return button("resume", job.id, "Resume", title="go on from the last checkpoint")
    if job.id == newest and job.state in {"interrupted", "failed"}:
        return button("resume", job.id, "Resume", title="go on with the images that are left")
    return ""


def _outcome(job: Job) -> str:
    """What a finished job tells about itself."""
    told = [str(job.result[key]) for key in ("message", "why") if job.result.get(key)]
    images = job.result.get("images")
    if isinstance(images, int):
        counts = [plural(images, "image"), plural(int(job.result.get("instances") or 0), "animal")]
        told.append(", ".join(counts))
    return "; ".join(told)


def _plan(job: Job) -> str:
    source = _settings(job)
    parts = [str(job.config["reason"])] if job.config.get("reason") else []
    parts += [str(source[key]) for key in ("method", "preset") if source.get(key)]
    minutes = source.get("minutes")
    if minutes:
        parts.append(f"{minutes:g} min" if isinstance(minutes, int | float) else str(minutes))
    return ", ".join(parts)


def _settings(job: Job) -> Mapping[str, Any]:
    """The settings of a training; the whole config of another job."""
    train = job.config.get("train")
    return train if isinstance(train, Mapping) else job.config


def versions_table(
    versions: Sequence[ModelVersion], jobs: Sequence[Job] = (), compared: Collection[str] = ()
) -> str:
    """All versions, newest first: figures, which phase was kept and why, promote or roll back.

    `compared` are the ids of those that are shown side by side.
    """
    if not versions:
        return empty(
            "No model version yet.",
            "The first training writes one; it then proposes animals on every unlabeled image.",
        )
    told = {job.id: str(job.result.get("message") or "") for job in jobs}
    rows = []
    for version in versions:
        promoted = version.state == "promoted"
        caption = "Go back to this version" if version.state == "retired" else "Promote"
        rows.append(
            (
                f'<code title="{text(version.id)}">{text(short(version.id))}</code>',
                badge("promoted") if promoted else text(_state(version.state)),
                text(age(version.created)),
                percent(_number(version.metrics.get("iou"))),
                percent(_number(version.metrics.get("miou"))),
                text(_judged_on(version)),
                text(told.get(version.job) or kept(version)),
                text(_verdict(version)),
                (_compare(version.id in compared, version.id) if len(versions) > 1 else "")
                + ("" if promoted else button("promote", version.id, caption, title=GOING_BACK)),
            )
        )
    heads = ("Version", "State", "Made", "IoU", "mIoU", "Judged on", "Which phase was kept", "Gate")
    note = f'<p class="hm-hint">{GOING_BACK}</p>' if len(versions) > 1 else ""
    return table((*heads, ""), rows, "model versions") + note


def _verdict(version: ModelVersion) -> str:
    """Why the version was promoted or kept aside when it was new."""
    gate = version.metrics.get("gate")
    return str(gate.get("why") or "–") if isinstance(gate, Mapping) else "–"


def _compare(chosen: bool, version: str) -> str:
    caption = "Compared ✓" if chosen else "Compare"
    return button("compare", version, caption, title="show beside other versions below")


def kept(version: ModelVersion) -> str:
    """Which of the two phases a training kept, with the IoU of each."""
    metrics = version.metrics
    name = str(metrics.get("kept") or "")
    phases = metrics.get("phases")
    scores = [
        f"{word} {percent(_number(found.get('miou')))}"
        for key, word in PHASE_NAMES.items()
        if isinstance(phases, Mapping) and isinstance(found := phases.get(key), Mapping)
    ]
    both = f" (mIoU: {', '.join(scores)})" if len(scores) > 1 else ""
    return f"{PHASE_NAMES.get(name, name) or '–'}{both}"


def _judged_on(version: ModelVersion) -> str:
    """Figures on images that were learned from say little, so the table names them."""
    words = {"validation": "validation images", "training": "its own labels"}
    return words.get(str(version.metrics.get("on")), "–")


def _state(state: str) -> str:
    return {"aside": "kept aside", "retired": "used before"}.get(state, state)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(value)
