"""The Data page: photos in, categories, the gallery with its statuses, COCO out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import jobs, uploads
from app.context import Context
from app.pages import data_categories, data_view
from app.pages.action_html import ActionHTML, clicked
from app.pages.data_forms import Categories, Exports, Imports, Moved
from app.pages.data_view import ANY, Filter
from app.pages.label import LabelPage
from app.pages.told import QUIET, inform, told, warn
from app.pages.words import STATUS_WORDS, name_of, plural
from app.workflow import images, proposals
from app.workflow.exports import Options, export_download
from app.workflow.imports import FPS
from data_io.errors import DataError

POLL_SECONDS = 2.0


@dataclass(frozen=True)
class DataPage:
    """The page's components and what fills them."""

    context: Context
    summary: gr.HTML
    status: gr.Dropdown
    group: gr.Dropdown
    words: gr.Textbox
    gallery: ActionHTML
    pager: ActionHTML
    page: gr.State
    imports: Imports
    moved: Moved
    categories: Categories
    exports: Exports
    timer: gr.Timer

    @property
    def filters(self) -> list[Any]:
        """The inputs of `browse`."""
        return [self.status, self.group, self.words, self.page]

    @property
    def shown(self) -> list[Any]:
        """What `browse` fills."""
        return [self.summary, self.gallery, self.pager, self.page, self.group]

    def browse(self, status: str, group: str, words: str, page: int) -> tuple[Any, ...]:
        """Summary, one page of the gallery and the groups there are."""
        store = self.context.store
        names = data_view.groups(store)
        chosen = group if group in names else ANY
        found = data_view.gallery(store, Filter(status or ANY, chosen, words or "", int(page or 0)))
        choices = [("all groups", ANY), *((name or "(none)", name) for name in names)]
        return (
            data_view.summary(store),
            found.html,
            data_view.pager(found),
            found.page,
            gr.Dropdown(choices=choices, value=chosen),
        )

    def exclude(self, image: str, excluded: bool) -> None:
        """Leave an image out, or take it back in, and say so."""
        store = self.context.store
        images.set_excluded(store, [image], excluded)
        name = name_of(store.image(image).path)
        if excluded:
            inform(f"{name} is left out of queue, training and export; see status “excluded”.")
            return
        proposals.ensure(store)  # the version in use may not have seen it
        inform(f"{name} is back in queue, training and export.")

    def relink(self, old: str, new: str) -> None:
        """Follow a moved folder, and say how many images were found again."""
        store, guard = self.context.store, self.context.guard
        if not old.strip():
            raise DataError("old folder", "no path was given", "write where the photos were")
        place = guard.resolve(new)
        found = images.relink(store, store.project / Path(old.strip()).expanduser(), place)
        proposals.ensure(store)  # images that were gone have no proposal
        inform(f"{plural(found, 'image')} found again.")


def build(context: Context) -> DataPage:
    """Lay the page out; `wire` connects it."""
    with gr.Row(elem_classes="hm-page"):
        with gr.Column(scale=1, min_width=480):
            summary = gr.HTML(js_on_load=None)
            with gr.Row(elem_id="hm-filters"):
                choices = [("all statuses", ANY), *((w, s) for s, w in STATUS_WORDS.items())]
                status = gr.Dropdown(choices, value=ANY, label="Status", min_width=120)
                group = gr.Dropdown([("all groups", ANY)], value=ANY, label="Group", min_width=120)
                words = gr.Textbox(
                    label="Name contains", max_lines=1, min_width=120, placeholder="any"
                )
            gallery = ActionHTML(elem_id="hm-gallery")
            pager = ActionHTML(elem_id="hm-pager")
        with gr.Column(scale=0, min_width=340, elem_id="hm-data-panel"):
            imports = Imports.build()
            moved = Moved.build()
            categories = Categories.build()
            exports = Exports.build()
    page = gr.State(0)
    timer = gr.Timer(POLL_SECONDS, active=False)
    return DataPage(
        context,
        summary,
        status,
        group,
        words,
        gallery,
        pager,
        page,
        imports,
        moved,
        categories,
        exports,
        timer,
    )


def wire(
    page: DataPage, demo: gr.Blocks, tab: gr.Tab, tabs: gr.Tabs, label_page: LabelPage
) -> None:
    """Connect gallery, imports, moved photos, categories and export."""
    _wire_gallery(page, demo, tab, tabs, label_page)
    _wire_imports(page)
    _wire_moved(page)
    data_categories.wire(page.categories, page.context.store, demo, tab)
    _wire_exports(page)


def _wire_gallery(
    page: DataPage, demo: gr.Blocks, tab: gr.Tab, tabs: gr.Tabs, label_page: LabelPage
) -> None:
    browse = told(page.browse)

    @told
    def restart(status: str, group: str, words: str, _page: int) -> Any:
        return page.browse(status, group, words, 0)

    @told
    def turn(status: str, group: str, words: str, _page: int, event: gr.EventData) -> Any:
        key = clicked(event)[1]
        return page.browse(status, group, words, int(key) if key.isdigit() else 0)

    @told
    def act(status: str, group: str, words: str, number: int, event: gr.EventData) -> Any:
        action, key = clicked(event)
        if action == "open":
            record = page.context.store.image(key)
            shown = [gr.skip()] * len(page.shown)
            return gr.Tabs(selected="label"), *label_page.show(record.id), *shown
        if action in data_view.HINTS:
            page.exclude(key, action == "exclude")
        stay = [gr.skip()] * (1 + len(label_page.outputs))
        return *stay, *page.browse(status, group, words, number)

    for field in (page.status, page.group):
        field.input(restart, page.filters, page.shown, **QUIET)
    page.words.submit(restart, page.filters, page.shown, **QUIET)
    page.words.blur(restart, page.filters, page.shown, **QUIET)
    page.pager.act(turn, page.filters, page.shown, **QUIET)
    page.gallery.act(act, page.filters, [tabs, *label_page.outputs, *page.shown], **QUIET)
    for load in (tab.select, demo.load):
        load(browse, page.filters, page.shown, **QUIET)


def _wire_imports(page: DataPage) -> None:
    form, store, guard = page.imports, page.context.store, page.context.guard

    @told
    def upload(files: list[str] | None, *filters: Any) -> Any:
        told_files = [Path(file) for file in files or []]
        done = uploads.take_photos(store, told_files)
        if done.images:
            proposals.ensure(store)  # new images join what the version in use looks at
            inform(f"{plural(done.images, 'image')} added.")
        elif not done.refused:
            inform("These images were in the project already.")
        if done.refused:
            warn(f"{plural(len(done.refused), 'file')} refused; the reasons are listed below.")
        return None, data_view.refused(done.refused), *page.browse(*filters)

    @told
    def start(
        source: str | None,
        images: str | None,
        kind: str,
        vouched: str,
        rename: str | None,
        fps: float | None,
    ) -> Any:
        place = guard.resolve(source or "")
        config: dict[str, Any] = {
            "source": str(place),
            "format": kind or "auto",
            "vouched": vouched or "verified",
            "rename": data_view.renamed(rename or ""),
            "fps": FPS if fps is None else fps,
            "roots": [str(root) for root in guard.roots],
        }
        if images and images.strip():
            config["images"] = str(guard.resolve(images))
        job = jobs.start_job(store, "import", config)
        return gr.Timer(active=True), job.id, data_view.import_state(job)

    @told
    def follow(job_id: str | None, *filters: Any) -> Any:
        if not job_id:
            return gr.Timer(active=False), gr.skip(), *[gr.skip()] * len(page.shown)
        jobs.recover(store)
        job = store.job(job_id)
        state = data_view.import_state(job)
        if job.state in jobs.ACTIVE:
            return gr.skip(), state, *[gr.skip()] * len(page.shown)
        return gr.Timer(active=False), state, *page.browse(*filters)

    outputs = [form.files, form.report, *page.shown]
    form.upload.click(upload, [form.files, *page.filters], outputs, api_visibility="private")
    fields = [form.source, form.images, form.kind, form.vouched, form.rename, form.fps]
    form.start.click(start, fields, [page.timer, form.job, form.report], **QUIET)
    page.timer.tick(
        follow, [form.job, *page.filters], [page.timer, form.report, *page.shown], **QUIET
    )


def _wire_moved(page: DataPage) -> None:
    form = page.moved

    @told
    def relink(old: str | None, new: str | None, *filters: Any) -> Any:
        page.relink(old or "", new or "")
        return "", "", *page.browse(*filters)

    fields = [form.old, form.new]
    # The files are read and compared, so this takes its time and shows that it does.
    form.relink.click(
        relink, [*fields, *page.filters], [*fields, *page.shown], api_visibility="private"
    )


def _wire_exports(page: DataPage) -> None:
    form, context = page.exports, page.context

    @told
    def export(
        origin: str, format: str, geometry: str, only_verified: bool, no_overlap: bool
    ) -> str:
        options = Options(
            format=format or "coco",
            origin="proposals" if origin == "proposals" else "revisions",
            only_verified=only_verified,
            geometry=data_view.geometry(geometry),
            no_overlap=no_overlap,
        )
        name = data_view.export_name(context.store.project.name, origin, options.format)
        file, report = export_download(context.store, context.exports, name, options)
        return data_view.exported(file.name, report)

    fields = [form.origin, form.format, form.geometry, form.only_verified, form.no_overlap]
    form.start.click(export, fields, form.result, api_visibility="private")
