"""Saves, steps and clicks while a training runs, and how long it takes to cancel one.

Serves a project of synthetic scenes with the server people run and talks to it over REST as the
canvas does: a save is a PUT of an animal with one vertex moved and of the others' ids, a step opens
the next image (its document and its pixels) or accepts a region; a first click asks for the animal
at a point of an image whose picture the server has not at hand, a next click for what it changes of
an outline. The same is measured idle
and during a training with the project's default settings, in rounds that take turns, so that both
meet the same machine; the first calls of each round are warm-up. Then trainings are cancelled as
the Train page does it: measured is how long the page's button takes and how long until a new
training may start.

    python -m benchmarks.while_training --out benchmarks/results/while_training.jsonl

Prints one JSON object: seed, warm-up, medians and p95 in milliseconds, `allowed` and `holds`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import jobs, settings
from app.workflow import training
from benchmarks.common import append, percentile, provenance
from benchmarks.save_latency import (
    ALLOWED_FACTOR,
    ALLOWED_MS,
    LABELED,
    Client,
    prepare,
    serve,
)
from data_io.geometry import box_of_parts
from data_io.store import Store
from data_io.types import Job, Part, Proposal, ReviewRegion

WARM_UP = 5
ACTIONS = ("save", "open_image", "accept_region", "first_click", "next_click")
CLICKS = {"first_click": 600.0, "next_click": 120.0}  # ms, p95 idle; during a training 1.5 times
CANCEL_SECONDS = 2.0
Spent = dict[str, list[float]]


def main() -> None:
    """Parse the arguments, print the record and append it where `--out` says."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="idle and busy, by turns")
    parser.add_argument("--count", type=int, default=40, help="calls of each kind a round")
    parser.add_argument("--cancels", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spare", type=int, help="cores left to the page, default the project's")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    record = run(options)
    if options.out:
        append(options.out, record)
    print(json.dumps(record))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds on one server, then the cancellations."""
    with tempfile.TemporaryDirectory(prefix="while-training-") as scratch:
        project = Path(scratch) / "project"
        images = prepare(project, options.scenes, options.seed)
        # No training but ours, neither among the idle rounds nor in place of a cancelled one.
        off: dict[str, Any] = dict.fromkeys(("retrain_images", "retrain_regions"), 0)
        spare = {} if options.spare is None else {"spare_cores": options.spare}
        chosen = settings.change(project, **off, retrain_idle=0.0, **spare)
        server, port = serve(project)
        try:
            with Store.open(project, create=False) as store:
                try:
                    idle, busy = take_turns(store, port, images, options.rounds, options.count)
                    cancelled = cancellations(store, options.cancels)
                finally:  # a failure leaves no training behind
                    for left in jobs.running(store, "train"):
                        jobs.cancel_job(store, left.id)
        finally:
            server.terminate()
            server.wait(15)
    return {
        "benchmark": "while_training",
        **provenance(options.seed),
        "warm_up": WARM_UP,
        "count": options.count * options.rounds,
        "scenes": options.scenes,
        "threads": chosen.training_threads,
        "nice": chosen.nice,
        **judged(idle, busy),
        "cancel": cancelled,
    }


def take_turns(
    store: Store, port: int, images: list[str], rounds: int, count: int
) -> tuple[Spent, Spent]:
    """Milliseconds of every call, idle and during a training, which is paused in between."""
    idle: Spent = {name: [] for name in ACTIONS}
    busy: Spent = {name: [] for name in ACTIONS}
    job: Job | None = None
    for turn in range(rounds):
        # A new connection each time: the server closes one that is silent while a training starts.
        measure(store, Client(port), images, count, idle)
        job = training.start_training(store) if job is None else jobs.resume_job(store, job.id)
        wait_until_learning(store, job, 2 * turn + 2)
        measure(store, Client(port), images, count, busy)
        state = store.job(job.id).state
        if state != "running":
            raise SystemExit(f"the training was {state} before the round ended; use fewer calls")
        jobs.cancel_job(store, job.id)
    return idle, busy


def measure(store: Store, client: Client, images: list[str], count: int, spent: Spent) -> None:
    """One round: each kind of call, `count` times after the warm-up."""
    document = client.document(images[0])
    ring = document["instances"][0]["parts"][0]["outer"]

    def save(k: int) -> None:
        ring[0] += 0.25 if k % 2 else -0.25
        client.save(images[0], document)

    calls = WARM_UP + count
    target = images[-1]
    propose_strips(store, target, calls)
    regions = [one.id for one in store.regions(target, "open")]
    base = client.document(target)["revision"]

    def accept(k: int) -> None:
        client.accept_region(target, regions[k], base + k)

    timed(save, count, spent["save"])
    timed(lambda k: client.change(images[k % len(images)]), count, spent["open_image"])
    timed(accept, count, spent["accept_region"])
    measure_clicks(client, images, count, spent)


def measure_clicks(client: Client, images: list[str], count: int, spent: Spent) -> None:
    """Clicks at the first animals of labeled images, in turn: more than a server keeps pictures."""
    shown = []
    for image in images[:LABELED]:
        parts = client.document(image)["instances"][0]["parts"]
        ring = parts[0]["outer"]
        middle = [float(sum(ring[k::2]) / (len(ring) // 2)) for k in (0, 1)]
        shown.append((image, middle, parts))

    def first(k: int) -> None:
        image, middle, _ = shown[k % len(shown)]
        client.outline(image, [[*middle, True]], [])

    def following(_: int) -> None:
        image, middle, parts = shown[0]
        client.outline(image, [[*middle, False]], parts)  # a positive one would be answered unasked

    timed(first, count, spent["first_click"])
    timed(following, count, spent["next_click"])


def timed(action: Callable[[int], None], count: int, spent: list[float]) -> None:
    """Append the milliseconds of `count` calls, those of the warm-up left out."""
    for k in range(WARM_UP + count):
        start = time.perf_counter()
        action(k)
        if k >= WARM_UP:
            spent.append((time.perf_counter() - start) * 1000)


def propose_strips(store: Store, image: str, count: int) -> None:
    """A proposal without animals and with so many regions, a new one every time."""
    import numpy as np

    record, version = store.image(image), f"v{uuid.uuid4().hex[:6]}"
    height = record.height / count
    regions = []
    for k in range(count):
        top, low = k * height, (k + 0.9) * height
        corners = [[1.0, top], [9.0, top], [9.0, low], [1.0, low]]
        parts = (Part(np.array(corners)),)
        box = box_of_parts(parts)
        regions.append(ReviewRegion("", image, version, "unsure", parts, box, 0.5, "unsure"))
    revision = store.revision(image)
    if revision is not None:  # answered strips of the last round would be covered already
        store.save_revision(image, revision.number, revision.instances, (), "benchmark")
    store.put_proposal(Proposal(image, version, (), "", 0.5), regions)


def wait_until_learning(store: Store, job: Job, lines: int) -> None:
    """Until this run of the trainer is past its start, which is not what is measured."""
    began = time.time()
    while True:
        row = store.job(job.id)
        if row.state not in jobs.ACTIVE:
            raise SystemExit(f"the training {row.state}: {row.error}")
        told = jobs.read_log(store, row, 50)
        steps = [one for one in told if one["time"] > began and not one["message"]]
        if len(steps) >= lines:
            return
        time.sleep(0.2)


def cancellations(store: Store, count: int) -> dict[str, Any]:
    """Seconds that cancelling takes; by turns while it learns and while it is still loading."""
    pressed, over = [], []
    job: Job | None = None
    for k in range(count):
        job = training.start_training(store) if job is None else jobs.resume_job(store, job.id)
        if k % 2:
            time.sleep(0.5)
        else:
            wait_until_learning(store, job, 2)
        start = time.perf_counter()
        jobs.cancel_job(store, job.id, wait=False)
        pressed.append(time.perf_counter() - start)
        while store.job(job.id).state in jobs.ACTIVE or jobs.running(store, "train"):
            time.sleep(0.01)
        over.append(time.perf_counter() - start)
    return {
        "count": count,
        "button_max_s": round(max(pressed, default=0.0), 3),
        "median_s": round(statistics.median(over), 2) if over else None,
        "max_s": round(max(over, default=0.0), 2),
        "allowed_s": CANCEL_SECONDS,
        "holds": max(over, default=0.0) < CANCEL_SECONDS,
    }


def judged(idle: Spent, busy: Spent) -> dict[str, Any]:
    """Medians and p95 of both conditions, and whether the busy ones are allowed."""
    found = {"idle": figures(idle), "training": figures(busy)}
    allowed = {
        name: round(max(ALLOWED_MS, ALLOWED_FACTOR * found["idle"][name]["p95_ms"]), 1)
        for name in ACTIONS
    } | {name: ALLOWED_FACTOR * limit for name, limit in CLICKS.items()}
    holds = {name: found["training"][name]["p95_ms"] <= allowed[name] for name in ACTIONS}
    idle_holds = {name: found["idle"][name]["p95_ms"] <= limit for name, limit in CLICKS.items()}
    return {**found, "allowed_p95_ms": allowed, "holds": holds, "idle_holds": idle_holds}


def figures(spent: Spent) -> dict[str, dict[str, float]]:
    """Median and p95 of each kind of call."""
    return {
        name: {
            "median_ms": round(statistics.median(values), 1),
            "p95_ms": round(percentile(values, 95), 1),
        }
        for name, values in spent.items()
    }


if __name__ == "__main__":
    main()
