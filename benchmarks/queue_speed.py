"""Queue and pages of a project of 100,000 images: ``python -m benchmarks.queue_speed``.

CPU milliseconds of what a person waits for: the first ranking of a fresh process, then next image,
outlook, queue and the pages' views right after an image was accepted (all of them have to follow
it) and again while nothing changed. Projects: the images in 40 groups, all in one, all in one
before the first model; then in 40 groups with three categories that take turns, and in one and in
40 groups of 32 clusters before the first model. Rows are written straight into the database. Prints
one JSON object a project, and appends it to `--out`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert

from app.context import Context
from app.pages import data_view, label_view
from app.queue import Queue
from app.security import PathGuard
from app.workflow import carry, training
from benchmarks.common import append, percentile, provenance
from data_io.geometry import full_image
from data_io.store import Store, codec, schema
from data_io.types import ModelVersion

SIZE = (48, 64)
NOW = "2025-01-01T00:00:00+00:00"
TOP = 500  # what the Label page asks for
NOTHING = codec.instances_to_blob((), "benchmark")
WHOLE = codec.parts_to_blob(full_image(*SIZE), "benchmark")
SQUARE = codec.parts_to_blob(full_image(8, 8), "benchmark")
TABLES = (
    schema.images,
    schema.revisions,
    schema.proposals,
    schema.regions,
    schema.contents,
    schema.embeddings,
)
Row = dict[str, Any]
CATEGORIES = ("cow", "calf", "bull")  # each in a fourth of the images that the last one is in


@dataclass(frozen=True)
class Kind:
    """What a project holds; `proposed` is a share of its images."""

    groups: int
    proposed: float
    categories: int = 0
    clusters: int = 0


PROJECTS = {
    "groups": Kind(40, 0.95),
    "one_group": Kind(1, 0.95),
    "no_model": Kind(1, 0.0),
    "strata": Kind(40, 0.95, categories=3, clusters=32),
    "clusters": Kind(40, 0.0, clusters=32),
    "one_group_clusters": Kind(1, 0.0, clusters=32),
}


def fill(store: Store, count: int, labeled: int, kind: Kind, seed: int) -> None:
    """Images of which some are verified whole and a share is proposed for, with open regions."""
    if kind.proposed:
        version = ModelVersion("v1", None, "", "", {}, (), "", {}, "promoted", codec.now())
        store.add_version(version)
    held = [store.add_category(name).id for name in CATEGORIES[: kind.categories]]
    draw = random.Random(seed)
    ids = [f"{draw.getrandbits(64):016x}" for _ in range(count)]
    done = set(draw.sample(range(count), labeled))
    rows: dict[Table, list[Row]] = {table: [] for table in TABLES}
    for k, one in enumerate(ids):
        rows[schema.images].append(_image(k, one, kind.groups))
        if k in done:
            rows[schema.revisions].append(_revision(one))
        if draw.random() < kind.proposed:
            _propose(rows, k, one, held, draw, k not in done)
        if kind.clusters:
            look = {"cluster": k // 50 % kind.clusters, "foreground": draw.random()}
            vector = {"image": one, "source": "", "vector": b"\0" * 128}
            rows[schema.embeddings].append({**vector, **look})
    with store._write() as connection:
        for table, filled in rows.items():
            if filled:
                connection.execute(insert(table), filled)


def _image(k: int, image: str, groups: int) -> Row:
    group = f"barn-{k % groups:02}"
    return {
        "id": image,
        "coco_id": k + 1,
        "path": f"images/{group}/{k:06}.jpg",
        "sha256": f"{k:064x}",
        "width": SIZE[1],
        "height": SIZE[0],
        "group": group,
        "excluded": False,
    }


def _revision(image: str) -> Row:
    return {
        "image": image,
        "number": 1,
        "author": "benchmark",
        "time": NOW,
        "instance_count": 3,
        "verified_state": "whole",
        "rejected": "[]",
        "instances": NOTHING,
        "verified": WHOLE,
    }


def _propose(
    rows: dict[Table, list[Row]],
    k: int,
    image: str,
    held: list[str],
    draw: random.Random,
    waits: bool,
) -> None:
    """A proposal with what it holds; every other image that `waits` has an open region."""
    same, score = {"image": image, "version": "v1"}, draw.random()
    made = {"score": score, "uncertainty": "", "time": NOW, "instances": NOTHING}
    rows[schema.proposals].append({**same, **made})
    rows[schema.contents] += [
        {"image": image, "source": "proposal", "category": category}
        for n, category in enumerate(held)
        if draw.random() < 0.25**n
    ]
    if waits and draw.random() < 0.5:
        told = {"kind": "border", "state": "open", "reason": "unsure", "box": "[0, 0, 8, 8]"}
        region = {"id": f"r{k}", "score": score, "parts": SQUARE}
        rows[schema.regions].append({**same, **told, **region})


def cpu(action: Callable[[], object]) -> float:
    """CPU milliseconds of this process."""
    start = time.process_time()
    action()
    return (time.process_time() - start) * 1000


def views(context: Context, after: str) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    store, queue = context.store, context.queue

    def data_page() -> None:
        data_view.groups(store)
        data_view.gallery(store, data_view.Filter())
        data_view.summary(store)

    def label_page() -> str:
        items = [item.as_dict() for item in queue.ranked(TOP)]
        return label_view.side(store, after, items, queue.waiting(), queue.strategy())

    return {
        "next": lambda: queue.next_image(after),
        "previous": lambda: queue.next_image(after, -1),
        "outlook": lambda: queue.outlook(after, 5),
        "queue": lambda: queue.ranked(20),
        "label_page": label_page,
        "data_page": data_page,
        "train_page": lambda: (training.pool(store), store.jobs(), store.versions()),
        "following": lambda: carry.following(store, after),
    }


def accept(context: Context, place: int) -> None:
    """Verify the image at a place of the queue, as another process would."""
    image = context.queue.ranked(place + 1)[place].image
    base = max(context.store.revision_numbers(image), default=0)
    with Store.open(context.store.project) as elsewhere:
        elsewhere.save_revision(image, base, (), full_image(*SIZE), "benchmark")


def measure(context: Context, rounds: int, share: float) -> dict[str, Any]:
    """Median and p95 of every view, right after an acceptance and again.

    Args:
        context: the project.
        rounds: acceptances a view.
        share: where in the queue the person is, 0 = at its front.
    """
    order = [item.image for item in context.queue.ranked()]
    after = order[min(int(share * len(order)) + rounds + 20, len(order) - 1)]
    told = {}
    for name, view in views(context, after).items():
        changed, again = [], []
        for _ in range(rounds):
            accept(context, 3)
            changed.append(cpu(view))
            again.append(cpu(view))
        told[name] = {"after_a_change": _spread(changed), "again": _spread(again)}
    return told


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(statistics.median(values), 1),
        "p95_ms": round(percentile(values, 95), 1),
    }


def run(name: str, count: int, labeled: int, rounds: int, seed: int) -> dict[str, Any]:
    """One project from nothing."""
    with tempfile.TemporaryDirectory() as scratch, Store.open(Path(scratch) / "project") as store:
        fill(store, count, labeled, PROJECTS[name], seed)
        context = Context.of(store, PathGuard.of(store.project, []))
        first = cpu(lambda: context.queue.ranked(TOP))
        ranking_only = cpu(lambda: Queue(store).ranked(TOP))
        return {
            "benchmark": "queue_speed",
            **provenance(seed),
            "project": name,
            "images": count,
            "labeled": labeled,
            "rounds": rounds,
            "first_ranking_ms": round(first, 1),
            "first_ranking_states_known_ms": round(ranking_only, 1),
            "front": measure(context, rounds, 0.0),
            "middle": measure(context, rounds, 0.5),
        }


def main() -> None:
    """Parse the arguments, print and append the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--labeled", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--project", choices=list(PROJECTS), action="append")
    parser.add_argument("--out", type=Path, help="JSON lines to append to")
    options = parser.parse_args()
    for name in options.project or PROJECTS:
        result = run(name, options.images, options.labeled, options.rounds, options.seed)
        print(json.dumps(result), flush=True)
        if options.out:
            append(options.out, result)


if __name__ == "__main__":
    main()
