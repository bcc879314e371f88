"""The Train page: start, watch, stop and resume a training job; choose the version in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import jobs, settings, validation_set
from app.context import Context
from app.pages import automatic, click_tool, compare_view, train_view, validation_view
from app.pages.action_html import ActionHTML, clicked
from app.pages.label import LabelPage
from app.pages.told import QUIET, inform, told
from app.pages.words import empty, plural, text
from app.workflow import training
from data_io.store import Store
from data_io.types import Job
from model.config import PRESETS

POLL_SECONDS = 2.0
TAIL = 20
HISTORY = 30
MOST_MINUTES = 120.0  # unless the project's settings ask for more
METHODS = (
    ("U2PL", "u2pl"),
    ("CutMix", "cutmix"),
    ("Mean teacher", "mean_teacher"),
    ("Labeled images only", "supervised"),
    ("Mask R-CNN (wants a GPU)", "maskrcnn"),
)
ABOUT = "The first three learn from unlabeled images too."
STARTED = "The training job has started"
WAITS = "The training job waits until the one before it has ended"
AFTERWARDS = (
    '<p class="hm-hint">Teaching the click tool comes on top of the minutes: one to five more,'
    " the longer the training the more.</p>"
)


@dataclass(frozen=True)
class TrainPage:
    """The page's components and what fills them."""

    context: Context
    form: dict[str, Any]
    start: gr.Button
    hint: gr.HTML
    progress: ActionHTML
    versions: ActionHTML
    history: ActionHTML
    validation: ActionHTML
    image_scores: gr.HTML
    comparison: gr.HTML
    automatic: automatic.Automatic
    timer: gr.Timer

    @property
    def outputs(self) -> list[Any]:
        """What `refresh` fills."""
        return [
            self.hint,
            self.start,
            self.progress,
            self.versions,
            self.history,
            self.validation,
            self.image_scores,
            self.comparison,
            self.timer,
        ]

    def refresh(self, compared: Sequence[str] = ()) -> tuple[Any, ...]:
        """Everything on the page, and whether to keep polling; `compared` are ids of versions."""
        store = self.context.store
        jobs.recover(store)  # a killed worker shows as interrupted, not as running for ever
        rows = store.jobs()
        versions = store.versions()
        active = [job for job in rows if job.state in jobs.ACTIVE]
        training_now = any(job.kind == "train" for job in active)
        stopping = {job.id for job in active if jobs.is_stopping(store, job)}
        due = self.context.retrainer.is_due()
        beside = [one for one in versions if one.id in compared]
        return (
            self._hint(),
            gr.Button(interactive=not training_now),
            self._progress(rows, active, stopping),
            train_view.versions_table(versions, rows, compared),
            train_view.jobs_table(rows[:HISTORY], stopping),
            validation_view.request(
                validation_set.standing(store), settings.load(store.project).validation
            ),
            validation_view.image_scores(versions, store.image_states()),
            compare_view.comparison(beside, rows) if len(versions) > 1 else "",
            gr.Timer(active=bool(active) or train_view.is_fresh(rows) or due),
        )

    def begin(self, options: training.TrainOptions) -> None:
        """Start a training and say whether it has to wait, without waiting for it."""
        waits = training.is_held_up(self.context.store)
        training.start_training(self.context.store, options)
        inform(f"{WAITS if waits else STARTED}; it goes on when you close the page.")

    def cancel(self, job: str) -> None:
        """Ask a job to stop and say what became of it, without waiting for it."""
        inform(train_view.cancelled(jobs.cancel_job(self.context.store, job, wait=False)))

    def _hint(self) -> str:
        store = self.context.store
        verified, rest = training.pool(store)
        if not verified:
            return empty(
                "Nothing to learn from yet.",
                "Accept an image on the Label page first; two or three images are a good start.",
            )
        return (
            f'<p class="hm-hint">{plural(verified, "image")} with a verified area,'
            f" {plural(rest, 'image')} without: the model learns from both.</p>"
            f'<p class="hm-hint">{text(self.context.retrainer.sentence())}</p>'
            + (AFTERWARDS if settings.load(store.project).refine else "")
        )

    def _progress(self, rows: list[Job], active: list[Job], stopping: set[str]) -> str:
        shown = active or [job for job in rows if job.kind == "train"][:1]
        if not shown:
            return empty("No job is running.", "Choose the minutes and start a training.")
        store = self.context.store
        return "".join(
            train_view.progress(
                job, jobs.read_log(store, job, TAIL), job.id in stopping, _curves(store, job)
            )
            for job in shown
        )


def _curves(store: Store, job: Job) -> list[dict[str, float]]:
    return jobs.read_curves(store, job) if job.kind == "train" else []


def build(context: Context) -> TrainPage:
    """Lay the page out; `wire` connects it."""
    defaults = settings.load(context.store.project)
    with gr.Row(elem_classes="hm-page"):
        with gr.Column(scale=0, min_width=330, elem_classes="hm-card-box"):
            gr.HTML("<h2>New training</h2>", js_on_load=None)
            hint = gr.HTML(js_on_load=None)
            form = {
                "method": gr.Dropdown(METHODS, value=defaults.method, label="Method", info=ABOUT),
                "minutes": _minutes(defaults.minutes),
            }
            with gr.Accordion("Advanced", open=False):
                form["seed"] = gr.Number(0, label="Seed", precision=0, minimum=0)
                form["preset"] = gr.Dropdown(
                    list(PRESETS), value=defaults.preset, label="Preset", info="size of the run"
                )
                form["device"] = gr.Dropdown(
                    list(settings.DEVICES), value=defaults.device, label="Device"
                )
            start = gr.Button("Start training", variant="primary", elem_id="start-training")
            alone = automatic.build(context.store.project)
            click_tool.build(context)
        with gr.Column(scale=1, min_width=480):
            progress = ActionHTML(elem_id="hm-progress")
            gr.HTML("<h2>Validation images</h2>", js_on_load=None)
            validation = ActionHTML(elem_id="hm-validation")
            gr.HTML("<h2>Model versions</h2>", js_on_load=None)
            versions = ActionHTML(elem_id="hm-versions")
            comparison = gr.HTML(elem_id="hm-comparison", js_on_load=None)
            image_scores = gr.HTML(elem_id="hm-image-scores", js_on_load=None)
            gr.HTML("<h2>Jobs</h2>", js_on_load=None)
            history = ActionHTML(elem_id="hm-jobs")
    timer = gr.Timer(POLL_SECONDS, active=False)
    shown = progress, versions, history, validation, image_scores, comparison
    return TrainPage(context, form, start, hint, *shown, alone, timer)


def _minutes(usual: float) -> gr.Slider:
    """The field takes its highest value for a higher one that is typed, so it names that value."""
    most = max(MOST_MINUTES, usual)
    return gr.Slider(
        0.5,
        most,
        value=usual,
        step=0.5,
        label="Minutes",
        info=f"at most {most:g}; a larger number becomes {most:g}",
        elem_id="minutes",
    )


def wire(
    page: TrainPage, demo: gr.Blocks, tab: gr.Tab, tabs: gr.Tabs, label_page: LabelPage
) -> None:
    """Connect the page; it polls only while a job is active or has just ended."""
    compared = gr.State(())
    _wire_start(page, compared)
    _wire_automatic(page, compared)
    _wire_tables(page, compared)
    _wire_validation(page, tabs, label_page)
    poll = told(page.refresh)
    page.timer.tick(poll, compared, page.outputs, trigger_mode="once", **QUIET)
    for load in (tab.select, demo.load):
        load(poll, compared, page.outputs, **QUIET)


def _wire_start(page: TrainPage, compared: gr.State) -> None:
    @told
    def begin(
        shown: Sequence[str], method: str, minutes: float, seed: float, preset: str, device: str
    ) -> Any:
        options = training.TrainOptions(
            method=method,
            preset=preset,
            minutes=float(minutes),
            seed=int(seed or 0),
            device=device,
        )
        page.begin(options)
        return page.refresh(shown)

    names = ("method", "minutes", "seed", "preset", "device")
    form = [compared, *(page.form[name] for name in names)]
    page.start.click(begin, form, page.outputs, **QUIET)


def _wire_automatic(page: TrainPage, compared: gr.State) -> None:
    @told
    def store_automatic(shown: Sequence[str], *values: Any) -> Any:
        automatic.change(page.context.store.project, *values)
        inform("The settings are stored.")
        return page.refresh(shown)

    form = [compared, *page.automatic.inputs]
    page.automatic.store.click(store_automatic, form, page.outputs, **QUIET)


def _wire_tables(page: TrainPage, compared: gr.State) -> None:
    store = page.context.store

    @told
    def act(shown: Sequence[str], event: gr.EventData) -> Any:
        action, key = clicked(event)
        if action == "cancel":
            page.cancel(key)
        elif action == "resume":
            jobs.resume_job(store, key)
            inform("The job goes on where it stopped.")
        elif action == "promote":
            training.promote(store, key)
            inform("This version is in use now; proposals are computed again.")
        elif action == "compare":
            shown = compare_view.toggled(shown, key)
        return (*page.refresh(shown), tuple(shown))

    for table in (page.progress, page.versions, page.history):
        table.act(act, compared, [*page.outputs, compared], **QUIET)


def _wire_validation(page: TrainPage, tabs: gr.Tabs, label_page: LabelPage) -> None:
    @told
    def open_image(event: gr.EventData) -> Any:
        record = page.context.store.image(clicked(event)[1])
        return gr.Tabs(selected="label"), *label_page.show(record.id)

    page.validation.act(open_image, None, [tabs, *label_page.outputs], **QUIET)
