"""What the robot annotator works on: synthetic scenes, and proposals with a network's mistakes.

The mistakes are made from the truth: outlines that wobble, ragged ones, a missing animal, two that
were taken for one, one that was taken for two, and an animal where none is.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.artifacts import Artifacts
from data_io.geometry import box_of_parts, parts_of_mask
from data_io.images import inspect
from data_io.scenes import CAMERAS, Scene, scene
from data_io.simplify import simplify
from data_io.store import NewImage, Store
from data_io.types import Instance, Part, Proposal, ReviewRegion
from model.regions import REASONS
from model.review_cost import Kind

Mask = NDArray[np.bool_]
CATEGORIES = ("cow", "calf")
VERSION = "damaged"
STRIDE = 4  # of uncertainty maps
STEADY, RAGGED = 0.02, 0.06  # wobble of an outline, in square roots of the animal's area
LARGE = 900  # pixels of an animal that is worth a mistake
BLOB = 0.05  # radius of an animal that is none, in image widths


@dataclass(frozen=True)
class Task:
    """One image of the project and what is true of it."""

    image: str
    scene: Scene


@dataclass(frozen=True)
class Doubt:
    """Where the network doubts, and what it says of it."""

    where: Mask
    kind: Kind


def make(project: Path, count: int, seed: int, proposed: bool) -> list[Task]:
    """Fill a new project with `count` scenes, with damaged proposals where asked for."""
    cameras = list(CAMERAS)
    tasks = []
    with Store.open(project) as store:
        categories = [store.add_category(name).id for name in CATEGORIES]
        for k in range(count):
            drawn = scene(seed + k, cameras[k % len(cameras)])
            tasks.append(Task(_add(store, k, drawn), drawn))
            if proposed:
                _propose(store, tasks[-1], categories, np.random.default_rng([seed, k]))
    return tasks


def _add(store: Store, number: int, drawn: Scene) -> str:
    folder = store.project / "images" / drawn.camera
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{number:03d}.png"
    cv2.imwrite(str(file), drawn.image[..., ::-1])
    info = inspect(file)
    new = NewImage(info.path, info.width, info.height, info.sha256, drawn.camera)
    return store.add_images([new])[0].id


def _propose(store: Store, task: Task, categories: Sequence[str], rng: np.random.Generator) -> None:
    found, doubts = damaged(task.scene, rng)
    height, width = task.scene.image.shape[:2]
    instances = tuple(
        Instance(
            uuid.uuid5(uuid.NAMESPACE_OID, f"{task.image}/{k}").hex,
            categories[CATEGORIES.index(label)],
            simplify(parts_of_mask(mask), height, width, 0.98),
            "model",
            VERSION,
            0.9,
        )
        for k, (mask, label) in enumerate(found)
    )
    regions = [
        replace(_region(task.image, k, doubt), score=0.95 - k / 100)
        for k, doubt in enumerate(doubts)
    ]
    heat = Artifacts(store.project).write_uncertainty(task.image, VERSION, _glow(doubts, height))
    store.put_proposal(Proposal(task.image, VERSION, instances, heat, 0.5), regions)


def _region(image: str, number: int, doubt: Doubt) -> ReviewRegion:
    rows, columns = np.nonzero(doubt.where)
    x0, x1, y0, y1 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    parts = (Part(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)),)
    kind = doubt.kind
    box = box_of_parts(parts)
    return ReviewRegion(f"{image}-{number}", image, VERSION, kind, parts, box, 0.9, REASONS[kind])


def _glow(doubts: Sequence[Doubt], height: int) -> NDArray[np.uint8]:
    total = np.any([doubt.where for doubt in doubts], axis=0).astype(np.float32)
    soft = cv2.GaussianBlur(total, (0, 0), height / 60)
    small = cv2.resize(soft, None, fx=1 / STRIDE, fy=1 / STRIDE, interpolation=cv2.INTER_AREA)
    return (200 * small).astype(np.uint8)


def damaged(drawn: Scene, rng: np.random.Generator) -> tuple[list[tuple[Mask, str]], list[Doubt]]:
    """Masks with labels as a network might propose them, and where it would doubt.

    Each large animal suffers one mistake at most; of each kind there is one an image where the
    scene allows it, and a third of the remaining large animals are ragged. One doubt an image is
    needless: the outline there is right.
    """
    masks, labels = list(drawn.masks), list(drawn.labels)
    left = [k for k in rng.permutation(len(masks)).tolist() if masks[k].sum() >= LARGE]
    found: list[tuple[Mask, str]] = []
    doubts: list[Doubt] = []

    def keep(mask: Mask, label: str, wobble: float = STEADY) -> Mask:
        found.append((wobbly(mask, wobble, rng), label))
        return found[-1][0]

    pair = _touching(masks, left)
    if pair:
        a, b = pair
        keep(masks[a] | masks[b], labels[a])
        doubts.append(Doubt(_between(masks[a], masks[b]), "split or merge"))
    large = [k for k in left if k not in pair]
    missing, halved, rest = large[-1:], large[-2:-1], large[:-2]
    doubts += [Doubt(masks[k], "possible miss") for k in missing]
    for k in halved:
        one, other = (keep(half, labels[k]) for half in _halves(masks[k]))
        doubts.append(Doubt(_between(one, other), "split or merge"))
    for k in [k for k in range(len(masks)) if k not in {*pair, *missing, *halved}]:
        ragged, needless = k in rest[::3], k in rest[1:2]
        mask = keep(masks[k], labels[k], RAGGED if ragged else STEADY)
        if ragged or needless:
            doubts.append(Doubt(mask | masks[k], "boundary"))
    blob = _nowhere(masks, rng)
    if blob is not None:
        doubts.append(Doubt(keep(blob, "cow"), "possible false alarm"))
    return [(mask, label) for mask, label in found if mask.any()], doubts


def wobbly(mask: Mask, share: float, rng: np.random.Generator) -> Mask:
    """The mask with its border displaced by smooth noise of `share` times root of area pixels."""
    root = float(np.sqrt(mask.sum()))
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    noise = rng.normal(size=mask.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), max(root / 8, 1.5))
    shifted: Mask = inside - outside + noise / noise.std() * share * root > 0
    return shifted


def _touching(masks: Sequence[Mask], among: Sequence[int]) -> tuple[int, ...]:
    """The pair with the longest common border, () where none touch."""
    best = 12  # pixels; a shorter contact is not taken for one animal
    pair: tuple[int, ...] = ()
    around = {k: cv2.dilate(masks[k].astype(np.uint8), np.ones((3, 3), np.uint8)) for k in among}
    for a in among:
        for b in among:
            contact = int((around[a].astype(bool) & masks[b]).sum()) if a < b else 0
            if contact > best:
                best, pair = contact, (a, b)
    return pair


def _between(a: Mask, b: Mask) -> Mask:
    """Where two masks meet, with some ground around."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    wide = [cv2.dilate(mask.astype(np.uint8), brush).astype(bool) for mask in (a, b)]
    return wide[0] & wide[1]


def _halves(mask: Mask) -> tuple[Mask, Mask]:
    """An animal cut across its longer side, as a rail or a coat's border makes networks do."""
    rows, columns = np.nonzero(mask)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    along = x if np.ptp(columns) >= np.ptp(rows) else y
    middle = float(np.quantile(along[mask], 0.45))
    return mask & (along < middle), mask & (along >= middle)


def _nowhere(masks: Sequence[Mask], rng: np.random.Generator) -> Mask | None:
    """An oval on free ground, where there is room for one."""
    height, width = masks[0].shape
    radius = BLOB * width
    free = (~np.any(masks, axis=0)).astype(np.uint8)
    free[[0, -1]] = 0
    free[:, [0, -1]] = 0
    rows, columns = np.nonzero(cv2.distanceTransform(free, cv2.DIST_L2, 5) > radius + 3)
    if not len(rows):
        return None
    k = int(rng.integers(len(rows)))
    blob = np.zeros((height, width), np.uint8)
    axes = (round(radius), round(radius * 0.6))
    cv2.ellipse(blob, (int(columns[k]), int(rows[k])), axes, 30, 0, 360, 1, -1)
    return blob.astype(bool)
