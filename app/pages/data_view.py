"""The Data page's gallery and tables as HTML, one page of thumbnails at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from app.pages.words import (
    badge,
    button,
    empty,
    file_name,
    group_word,
    name_of,
    plural,
    table,
    text,
)
from app.workflow.exports import Geometry
from app.workflow.views import status_of
from data_io.errors import DataError
from data_io.formats.export import ExportReport
from data_io.store import ImageState, Store
from data_io.types import Category, Job

PAGE = 48
SHOWN_ENTRIES = 500  # of what an import refused or repaired
ANY = "any"
EXCLUDED = "excluded"
HINTS = {
    "exclude": "leave it out of queue, training and export",
    "include": "take it back into queue, training and export",
}


@dataclass(frozen=True)
class Filter:
    """What the gallery shows; `group` and `status` are ANY or one value.

    Excluded images are shown only where they are asked for.
    """

    status: str = ANY
    group: str = ANY
    words: str = ""
    page: int = 0


@dataclass(frozen=True)
class Shown:
    """One page of the gallery."""

    html: str
    page: int
    pages: int
    found: int


def _status(one: ImageState) -> str:
    return EXCLUDED if one.excluded else status_of(one.revision, one.verified)


def gallery(store: Store, wanted: Filter) -> Shown:
    """The thumbnails that match; a page beyond the last one shows the last one."""
    images = store.image_states().values()
    if not images:
        nothing = empty(
            "No image yet.", "Upload images or name a folder of this server on the right."
        )
        return Shown(nothing, 0, 1, 0)
    words = wanted.words.strip().lower()
    found = [
        one
        for one in images
        if wanted.group in (ANY, one.group)
        and (not one.excluded if wanted.status == ANY else _status(one) == wanted.status)
        and words in one.path.lower()
    ]
    if not found:
        nothing = empty("No image matches.", "Choose another status or group, or clear the words.")
        return Shown(nothing, 0, 1, 0)
    pages = -(-len(found) // PAGE)
    page = min(max(wanted.page, 0), pages - 1)
    cards = "".join(_card(one) for one in found[page * PAGE : (page + 1) * PAGE])
    return Shown(f'<div class="hm-gallery">{cards}</div>', page, pages, len(found))


def _card(one: ImageState) -> str:
    key, name, group = text(one.id), text(name_of(one.path)), group_word(one.group)
    caption, action = ("Include", "include") if one.excluded else ("Exclude", "exclude")
    return (
        f'<div class="hm-tile"><button type="button" class="hm-card" data-action="open"'
        f' data-key="{key}" title="{text(one.path)}" aria-label="open {name} on the Label page">'
        f'<img loading="lazy" alt="" src="api/images/{key}/thumbnail">'
        f"{file_name(name_of(one.path))}"
        f"<span>{badge(_status(one))} <i>{text(group)}</i></span></button>"
        f'<button type="button" class="hm-button" data-action="{action}" data-key="{key}"'
        f' aria-label="{action} {name}" title="{HINTS[action]}">{caption}</button></div>'
    )


def summary(store: Store) -> str:
    """One line: how many images there are, and how many have which status."""
    counts = Counter(map(_status, store.image_states().values()))
    total = counts.total() - counts[EXCLUDED]
    names = ("verified", "partial", "draft", "unlabeled", EXCLUDED)
    parts = [f"{badge(name)} {counts[name]:,}" for name in names if counts[name]]
    inner = " ".join(parts)
    return f'<div class="hm-summary"><b>{plural(total, "image")}</b> {inner}</div>'


def groups(store: Store) -> list[str]:
    """All groups, sorted; also those with excluded images alone."""
    return sorted({one.group for one in store.image_states().values()})


def refused(rows: Sequence[Mapping[str, str]]) -> str:
    """What an import did not take, and why."""
    return _entries(rows, "refused")


def repaired(rows: Sequence[Mapping[str, str]]) -> str:
    """What an import put right, and how."""
    return _entries([{**row, "why": f"{row['why']}; {row['done']}"} for row in rows], "repaired")


def _entries(rows: Sequence[Mapping[str, str]], what: str) -> str:
    if not rows:
        return ""
    cells = [
        (
            text(name_of(row.get("file", ""))),
            text(" ".join(row[key] for key in ("index", "field") if row.get(key))),
            text(row.get("why", "")),
        )
        for row in rows[:SHOWN_ENTRIES]
    ]
    caption = f"<p><b>{plural(len(rows), 'entry', 'entries')} {what}</b></p>"
    if len(rows) > SHOWN_ENTRIES:
        caption += f"<p>The first {SHOWN_ENTRIES} of them; the command line lists all.</p>"
    return caption + table(("File", "Where", "Why"), cells, f"{what} files", "hm-refused")


def categories(found: Sequence[Category]) -> str:
    """The categories with their colors; a click chooses one for editing."""
    if not found:
        return empty("No category yet.", "Create one, for example cow, to start drawing.")
    rows = "".join(
        f'<button type="button" class="hm-category" data-action="edit" data-key="{text(one.id)}">'
        f'<span style="background:{text(one.color)}"></span>{text(one.name)}</button>'
        for one in found
    )
    return f'<div class="hm-categories">{rows}</div>'


def merge_question(source: Category, target: Category) -> str:
    """What a person is asked before two categories become one."""
    return (
        f'<p class="hm-problem" role="alert">Every label of <b>{text(source.name)}</b> will be'
        f" <b>{text(target.name)}</b>. This cannot be undone.</p>"
    )


def exported(name: str, report: ExportReport) -> str:
    """The finished export: what was written, how faithful it is, its download."""
    link = f'<a class="hm-button hm-primary" download href="api/exports/{text(name)}">Download</a>'
    told = [
        f"{plural(report.images, 'image')}, {plural(report.instances, 'animal')}, "
        f"{report.vertices_median:.0f} vertices in the median; read back and compared"
    ]
    if report.iou_min is not None and report.iou_min < 1:
        told.append(f"raster IoU {report.iou_mean:.4f} in the mean, {report.iou_min:.4f} at worst")
    told += report.losses
    lines = "".join(f"<span>{text(line)}.</span>" for line in told)
    return (
        f'<div class="hm-exported"><b>{text(name)}</b>{lines}'
        f"<code>sha256 {text(report.sha256[:16])}…</code>{link}</div>"
    )


def export_name(project: str, origin: str, format: str) -> str:
    """``barn-labels-coco-20260101-120000``: safe in a URL and on every file system."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", project).strip("-_") or "herdmark"
    what = "proposals" if origin == "proposals" else "labels"
    return f"{plain[:40]}-{what}-{format}-{stamp}"


def geometry(chosen: str) -> Geometry:
    """The outlines a person chose."""
    return "compact" if chosen == "compact" else "rle" if chosen == "rle" else "exact"


def renamed(pairs: str) -> dict[str, str]:
    """``Cow=cow, bos taurus=cow`` as names in the file -> names in the project.

    Raises:
        DataError: a pair without an equals sign.
    """
    found = {}
    for pair in filter(None, (pair.strip() for pair in pairs.split(","))):
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not (equals and old and new):
            why = f"{pair!r} is no pair of names"
            raise DataError("categories", why, "write NAME=NAME, NAME=NAME", field="names")
        found[old] = new
    return found


def hex_color(color: str) -> str:
    """``#rrggbb`` from what a color picker sends: that, or ``rgb(r, g, b)`` and ``rgba(...)``."""
    numbers = re.findall(r"[\d.]+", color) if color.startswith("rgb") else []
    if len(numbers) < 3:
        return color
    return "#" + "".join(f"{min(255, round(float(value))):02x}" for value in numbers[:3])


def import_state(job: Job) -> str:
    """How an import job stands, and what it refused once it is done."""
    if job.state in {"queued", "running"}:
        message = job.progress.get("message") or "reading the images"
        return f'<p class="hm-hint" role="status">{text(message)} …</p>'
    if job.state != "done":
        return f'<p class="hm-problem" role="alert">{text(job.error or "the import ended")}</p>'
    images, instances = job.result.get("images", 0), job.result.get("instances", 0)
    known = job.result.get("known", 0)
    parts = [plural(images, "image") + " added"]
    if instances:
        parts.append(plural(instances, "animal") + " added")
    if known:
        parts.append(f"{known:,} known already")
    parts += job.result.get("hints", [])
    head = f'<p class="hm-hint" role="status">{text(", ".join(parts))}.</p>'
    told = refused(job.result.get("refused", [])) + repaired(job.result.get("repaired", []))
    return head + told


def pager(shown: Shown) -> str:
    """``Page 2 of 7, 312 images`` with buttons."""
    back = button("page", str(shown.page - 1), "‹", title="previous page") if shown.page else ""
    more = shown.page + 1 < shown.pages
    on = button("page", str(shown.page + 1), "›", title="next page") if more else ""
    counts = plural(shown.found, "image")
    return (
        f'<div class="hm-pager">{back}<span>Page {shown.page + 1} of {shown.pages}, {counts}'
        f"</span>{on}</div>"
    )
