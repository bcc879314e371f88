"""A robot annotator on the running app: ``python -m benchmarks.robot``.

Labels synthetic scenes from scratch and corrects damaged proposals of others, with real mouse,
wheel and key events in headless Chromium. Prints a table (IoU of the stored raster for each animal,
actions and keystroke-level seconds an animal) and appends two JSON records to
benchmarks/results/robot.jsonl. The clock is that of `robot_hand`; waiting is not charged.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import settings
from benchmarks.canvas_latency import VIEWPORT, tab_of
from benchmarks.common import ROOT, append, percentile, provenance
from benchmarks.robot_hand import Hand
from benchmarks.robot_person import Person, iou
from benchmarks.robot_scenes import Task, make
from data_io.geometry import mask_of_parts
from data_io.store import Store
from data_io.types import Instance

Mask = NDArray[np.bool_]
RESULTS = ROOT / "benchmarks" / "results" / "robot.jsonl"
WORK = ("scratch", "proposals")
ENOUGH = 0.95  # median IoU that must be reached
# Nobody proposes or trains meanwhile: what is measured is the hand and the canvas.
HANDS_ALONE = {"instant": False, "retrain_images": 0, "retrain_regions": 0, "retrain_idle": 0.0}
SAME = 0.5  # IoU from which two outlines are of the same animal


def run(page: Any, tasks: Sequence[Task], correcting: bool, seed: int) -> Hand:
    """Work through all images of the open page; what the hand did."""
    hand = Hand(page, np.random.default_rng(seed))
    person = Person(hand)
    scenes = {task.image: task.scene for task in tasks}
    while scenes:
        image = hand.image()
        scene = scenes.pop(image)
        (person.correct if correcting else person.draw_all)(scene)
        page.wait_for_selector(
            f".hm-root[data-ready]:not([data-ready='{image}'])" if scenes else
            ".hc-status[data-status=verified]"
        )  # fmt: skip
    hand.saved()
    return hand


def measured(project: Path, tasks: Sequence[Task], hand: Hand) -> dict[str, Any]:
    """IoU of what is stored, and what it cost."""
    scores, surplus, right, before = [], 0, 0, []
    with Store.open(project) as store:
        names = {category.id: category.name for category in store.categories()}
        for task in tasks:
            revision = store.revision(task.image)
            assert revision is not None, "the robot left an image without a revision"
            pairs = matched(task, revision.instances)
            scores += [score for score, _ in pairs]
            shown = [one for _, one in pairs]
            kinds = [names[one.category] if one else None for one in shown]
            right += sum(a == b for a, b in zip(kinds, task.scene.labels, strict=True))
            surplus += len(revision.instances) - sum(one is not None for one in shown)
            proposal = store.proposal(task.image)
            before += [score for score, _ in matched(task, proposal.instances if proposal else ())]
    count, clock = len(scores), hand.clock
    return {
        "images": len(tasks),
        "animals": count,
        "iou_before": round(statistics.median(before), 4),
        "iou_median": round(statistics.median(scores), 4),
        "iou_p10": round(percentile(scores, 10), 4),
        "iou_lowest": round(min(scores), 4),
        "animals_too_many": surplus,
        "categories_right": round(right / count, 3),
        "actions_per_animal": round(clock.actions / count, 1),
        "seconds_per_animal": round(clock.seconds / count, 1),
        "seconds_per_animal_by_single_clicks": round(clock.seconds_by_clicks / count, 1),
        "counts": {name: round(n, 1) for name, n in sorted(clock.counts.items())},
        "scores": [round(score, 3) for score in scores],
    }


def matched(task: Task, instances: Sequence[Instance]) -> list[tuple[float, Instance | None]]:
    """For each true animal its IoU with the instance that shows it, each instance used once."""
    height, width = task.scene.image.shape[:2]
    masks = [mask_of_parts(one.parts, height, width) for one in instances]
    table = [
        (iou(truth, mask), k, j)
        for k, truth in enumerate(task.scene.masks)
        for j, mask in enumerate(masks)
    ]
    found: dict[int, tuple[float, Instance | None]] = {}
    used: set[int] = set()
    for score, k, j in sorted(table, reverse=True):
        if score > 0 and k not in found and j not in used:
            found[k] = score, instances[j] if score > SAME else None
            used.add(j)
    return [found.get(k, (0.0, None)) for k in range(len(task.scene.masks))]


def study(work: str, scenes: int, seed: int) -> dict[str, Any]:
    """One project, worked through in a browser of its own."""
    proposed = work == "proposals"
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "herd"
        tasks = make(project, scenes, seed, proposed)
        settings.change(project, **HANDS_ALONE)
        with tab_of(project) as tab:
            hand = run(tab.page, tasks, proposed, seed)
        return measured(project, tasks, hand)


def print_table(found: dict[str, dict[str, Any]]) -> None:
    """The figures of all studies side by side, as Markdown."""
    leave = ("counts", "scores")
    print("| |", " | ".join(found), "|")
    print("|---|" + "---|" * len(found))
    for name in next(iter(found.values())):
        if name not in leave:
            print(f"| {name.replace('_', ' ')} |", *(f"{one[name]} |" for one in found.values()))


def main() -> int:
    """Run both studies; exit code 1 when a median IoU is too low."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=10, help="of each study")
    parser.add_argument("--only", choices=WORK, help="one study")
    parser.add_argument("--seed", type=int, default=500)
    parser.add_argument("--no-append", action="store_true", help="print only")
    options = parser.parse_args()
    found = {}
    for work in [options.only] if options.only else WORK:
        found[work] = study(work, options.scenes, options.seed)
        record = {"benchmark": "robot", "work": work, **provenance(options.seed)}
        record |= {"viewport": VIEWPORT, "holds": found[work]["iou_median"] >= ENOUGH}
        if not options.no_append:
            append(RESULTS, record | found[work])
    print_table(found)
    return 0 if all(one["iou_median"] >= ENOUGH for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
