"""The side panel of the Label page as HTML: which model spoke, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import settings
from app.jobs import ACTIVE
from app.pages.words import (
    age,
    button,
    empty,
    file_name,
    plural,
    short,
    text,
)
from app.workflow.teaching import teachers
from app.workflow.training import pool
from data_io.store import Store

Item = Mapping[str, Any]
ROWS = 7


def side(
    store: Store, image: str | None, queue: Sequence[Item], waiting: int, strategy: str
) -> str:
    """Panel for the image on the canvas.

    Args:
        store: the project.
        image: id of the image, None for none.
        queue: the front of the queue, best first.
        waiting: length of the whole queue.
        strategy: how the queue is ordered now, in words.
    """
    if not waiting and all(one.excluded for one in store.image_states().values()):
        return empty("No image yet.", "Import a folder or upload images on the Data page.")
    return _model(store) + _queue(image, queue, waiting, strategy)


def _model(store: Store) -> str:
    version = store.promoted()
    if version is None:
        body = f"<p>{text(_learning(store))} {text(_advice(store))}</p>"
    else:
        body = (
            f'<p>Version <code title="{text(version.id)}">{text(short(version.id))}</code>,'
            f" trained {text(age(version.created))}</p>"
        )
    link = button("train", "", "Go to training")
    return f'<section class="hm-side"><h3>Model</h3>{body}{link}</section>'


def _learning(store: Store) -> str:
    """What proposes until there is a version."""
    learned = len(teachers(store.image_states()))
    if not learned or not settings.load(store.project).instant:
        return "No model yet."
    return f"The instant model has learned from {plural(learned, 'image')}."


def _advice(store: Store) -> str:
    """What brings the first model."""
    if any(job.state in ACTIVE for job in store.jobs("train")):
        return "The first training is running; what it has learned proposes once it is done."
    verified, _ = pool(store)
    if verified < 2:
        return (
            "Outline every animal, then accept the image. Two or three images are enough for a"
            " first training."
        )
    return f"{plural(verified, 'image')} verified: train the first model now."


def _queue(image: str | None, queue: Sequence[Item], total: int, strategy: str) -> str:
    if not queue:
        body = empty("The queue is empty.", "Every image is verified: export on the Data page.")
        return f'<section class="hm-side"><h3>Queue</h3>{body}</section>'
    place = next((i for i, item in enumerate(queue) if item["image"] == image), None)
    whole = f"{plural(total, 'image')} waiting"
    where = whole if place is None else f"{place + 1:,} of {total:,}"
    start = 0 if place is None else max(0, min(place - 1, len(queue) - ROWS))
    rows = "".join(_row(item, image) for item in queue[start : start + ROWS])
    # The canvas has its own next button; this one goes back to the front after wandering off.
    best = str(queue[0]["image"])
    first = "" if place == 0 else button("open", best, "Front of the queue", kind="hm-primary")
    name, _, how = strategy.partition(": ")
    return (
        f'<section class="hm-side hm-queue"><h3>Queue <span>{text(where)}</span></h3>'
        f"<details><summary>{text(name)}</summary><p>{text(how)}</p></details>{first}"
        f'<div class="hm-list">{rows}</div></section>'
    )


def _row(item: Item, image: str | None) -> str:
    current = ' aria-current="true"' if item["image"] == image else ""
    key = text(item["image"])
    return (
        f'<button type="button" class="hm-row" data-action="open" data-key="{key}"{current}'
        f' title="{text(item["why"])}">'
        f'<img loading="lazy" alt="" src="api/images/{key}/thumbnail">'
        f"<span>{file_name(item['name'])}<i>{text(item['why'])}</i></span></button>"
    )
