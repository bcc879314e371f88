"""The Data page: photos in, categories, the gallery with its statuses, COCO out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import jobs, uploads
from app.context import Context
from app.pages import data_view
from app.pages.action_html import ActionHTML, clicked
from app.pages.data_forms import Categories, Exports, Imports
from app.pages.data_view import ANY, Filter
from app.pages.label import LabelPage
from app.pages.told import inform, told, warn
from app.pages.words import STATUS_WORDS, plural
from app.workflow import proposals
from app.workflow.exports import export_coco
from data_io.errors import DataError
from data_io.images import list_images

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
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
        categories,
        exports,
        timer,
    )


def wire(
    page: DataPage, demo: gr.Blocks, tab: gr.Tab, tabs: gr.Tabs, label_page: LabelPage
) -> None:
    """Connect gallery, imports, categories and export."""
    _wire_gallery(page, demo, tab, tabs, label_page)
    _wire_imports(page)
    _wire_categories(page, demo, tab)
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
    def open_image(event: gr.EventData) -> Any:
        record = page.context.store.image(clicked(event)[1])
        return gr.Tabs(selected="label"), *label_page.show(record.id)

    for field in (page.status, page.group):
        field.input(restart, page.filters, page.shown, **QUIET)
    page.words.submit(restart, page.filters, page.shown, **QUIET)
    page.words.blur(restart, page.filters, page.shown, **QUIET)
    page.pager.act(turn, page.filters, page.shown, **QUIET)
    page.gallery.act(open_image, None, [tabs, *label_page.outputs], **QUIET)
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
    def start(source: str | None, images: str | None, kind: str, vouched: str) -> Any:
        place = guard.resolve(source or "")
        config = {"source": str(place), "format": kind or "auto", "vouched": vouched or "verified"}
        folder = guard.resolve(images) if images and images.strip() else None
        if folder is not None:
            config["images"] = str(folder)
        for one in (place, folder):
            if one is not None and one.is_dir():
                _refuse_links(page.context, one)
        job = jobs.start_job(store, "import", config)
        return gr.Timer(active=True), job.id, data_view.import_state(job)

    @told
    def follow(job_id: str | None, *filters: Any) -> Any:
        if not job_id:
            return gr.Timer(active=False), gr.skip(), *[gr.skip()] * len(page.shown)
        jobs.recover(store)
        job = jobs.find(store, job_id)
        state = data_view.import_state(job)
        if job.state in jobs.ACTIVE:
            return gr.skip(), state, *[gr.skip()] * len(page.shown)
        if job.state == "done":
            proposals.ensure(store)
        return gr.Timer(active=False), state, *page.browse(*filters)

    outputs = [form.files, form.report, *page.shown]
    form.upload.click(upload, [form.files, *page.filters], outputs, api_visibility="private")
    fields = [form.source, form.images, form.kind, form.vouched]
    form.start.click(start, fields, [page.timer, form.job, form.report], **QUIET)
    page.timer.tick(
        follow, [form.job, *page.filters], [page.timer, form.report, *page.shown], **QUIET
    )


def _refuse_links(context: Context, folder: Path) -> None:
    """Refuse a folder from which links lead out of the allowed folders."""
    for file in list_images(folder):
        if not context.guard.allows(file):
            why = "is a link that leads outside the allowed folders"
            raise DataError(file.name, why, "remove it or start the server with --allow-root")


def _wire_categories(page: DataPage, demo: gr.Blocks, tab: gr.Tab) -> None:
    form, store = page.categories, page.context.store

    def fill(chosen: str | None = None) -> tuple[Any, ...]:
        found = store.categories()
        choices = [(one.name, one.id) for one in found]
        picked = next((one for one in found if one.id == chosen), None)
        return (
            data_view.categories(found),
            gr.Dropdown(choices=choices, value=picked.id if picked else None),
            gr.Textbox(value=picked.name if picked else ""),
            gr.ColorPicker(value=picked.color if picked else "#e69f00"),
            gr.Dropdown(choices=[("merge into …", ""), *choices], value=""),
        )

    @told
    def create(name: str) -> Any:
        store.add_category(name or "")
        return gr.Textbox(value=""), *fill()

    @told
    def edit(event: gr.EventData) -> Any:
        return gr.Accordion(open=True), *fill(clicked(event)[1])

    @told
    def change(chosen: str | None, name: str, color: str, target: str) -> Any:
        if not chosen:
            raise DataError("category", "none is chosen", "click one in the list first")
        if target:
            kept = store.merge_categories(chosen, target)
            inform(f"Merged into {kept.name}; every label follows.")
            return fill(kept.id)
        store.rename_category(chosen, name)
        store.recolor_category(chosen, data_view.hex_color(color))
        return fill(chosen)

    @told
    def load() -> Any:
        return fill()

    @told
    def choose(chosen: str | None) -> Any:
        return fill(chosen)

    for event in (form.create.click, form.name.submit):
        event(create, form.name, [form.name, *form.outputs], **QUIET)
    form.listing.act(edit, None, [form.editor, *form.outputs], **QUIET)
    form.chosen.input(choose, form.chosen, form.outputs, **QUIET)
    fields = [form.chosen, form.rename, form.color, form.target]
    form.apply.click(change, fields, form.outputs, **QUIET)
    for moment in (tab.select, demo.load):
        moment(load, None, form.outputs, **QUIET)


def _wire_exports(page: DataPage) -> None:
    form, context = page.exports, page.context

    @told
    def export(origin: str, only_verified: bool) -> str:
        name = data_view.export_name(context.store.project.name, origin)
        report = export_coco(
            context.store,
            context.exports / name,
            "proposals" if origin == "proposals" else "revisions",
            only_verified,
        )
        return data_view.exported(name, report.images, report.instances, report.sha256)

    form.start.click(
        export, [form.origin, form.only_verified], form.result, api_visibility="private"
    )
