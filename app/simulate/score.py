"""What a finished image and a model are worth, against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.simulate.annotator import Step, Target
from app.simulate.models import Models, Predicts
from app.simulate.session import rows_of
from app.simulate.shapes import around, outlined, vertices_for
from app.simulate.truth import Hidden, HiddenImage
from data_io.geometry import (
    Rle,
    area_of_rle,
    crop_of_rle,
    full_image,
    parts_of_rle,
    rle_intersection,
    rle_iou,
    rle_of_parts,
    rle_of_runs,
    rle_union,
)
from data_io.images import read
from data_io.store import Store
from data_io.store.records import FirstRevision, NewImage
from data_io.types import Instance
from model.metrics import boundary, boundary_distance

QUALITIES = (0.85, 0.90, 0.95, 0.98)  # IoU of outlines from scratch whose vertices are recorded


def image_row(
    image: HiddenImage, targets: Sequence[Target], steps: Sequence[Step]
) -> dict[str, Any]:
    """The record of a finished image.

    Returns:
        image, cluster; animals: for each the actions, the delivered IoU with the target and with
        the truth, the boundary IoU with the truth, and the vertices of outlines from scratch of
        each quality; other: the actions that belong to no animal.
    """
    made = {step.key: step for step in steps if step.key is not None}
    animals = [
        _animal_row(image, target, truth, made[target.key])
        for target, (_, truth) in zip(targets, image.animals, strict=True)
    ]
    other = [action for step in steps if step.key is None for action in step.actions]
    return {
        "image": image.name,
        "cluster": image.cluster,
        "animals": animals,
        "other": rows_of(other),
    }


def _animal_row(image: HiddenImage, target: Target, truth: Rle, step: Step) -> dict[str, Any]:
    size = image.height, image.width
    label = rle_of_parts(step.label.parts, *size) if step.label else None
    return {
        "actions": rows_of(step.actions),
        "target": round(rle_iou(label, target.rle), 4) if label else 0.0,
        "truth": round(rle_iou(label, truth), 4) if label else 0.0,
        "boundary": round(_boundary_iou(label, truth), 4) if label else 0.0,
        "vertices": [vertices_for(outlined(target.rle, quality)) for quality in QUALITIES],
    }


def _boundary_iou(label: Rle, truth: Rle) -> float:
    """Boundary IoU (Cheng et al. 2021) of one animal, d = 2 % of the image's diagonal."""
    height, width = truth["size"]
    distance = boundary_distance(height, width)
    window = around([label, truth], distance + 2)
    bands = [boundary(crop_of_rle(rle, window), distance) for rle in (label, truth)]
    union = int((bands[0] | bands[1]).sum())
    return int((bands[0] & bands[1]).sum()) / union if union else 1.0


def test_rows(model: Predicts, images: Sequence[HiddenImage]) -> list[list[Any]]:
    """[cluster, pixels in both, pixels in either] of all animals, for each image of a test."""
    rows: list[list[Any]] = []
    for image in images:
        made = model.predict(read(image.path)).instances
        size = image.height, image.width
        found = _union([rle_of_parts(one.parts, *size) for one in made], size)
        true = _union([rle for _, rle in image.animals], size)
        both = area_of_rle(rle_intersection([found, true]))
        either = area_of_rle(found) + area_of_rle(true) - both
        rows.append([image.cluster, both, either])
    return rows


def _union(rles: Sequence[Rle], size: tuple[int, int]) -> Rle:
    return rle_union(rles) if rles else rle_of_runs([size[0] * size[1]], *size)


def label_with_truth(store: Store, hidden: Hidden) -> None:
    """Fill an empty project with the whole pool and its truth, for the ceiling alone."""
    categories = {name: store.add_category(name).id for name in hidden.categories}
    images = [NewImage(i.path, i.width, i.height, i.sha256, i.group) for i in hidden.pool]
    records = store.add_images(images)
    store.save_first_revisions(
        [
            FirstRevision(
                record.id,
                tuple(
                    Instance(f"{record.id}-{k}", categories[name], parts_of_rle(rle))
                    for k, (name, rle) in enumerate(image.animals)
                ),
                full_image(image.height, image.width),
            )
            for record, image in zip(records, hidden.pool, strict=True)
        ],
        "truth",
    )


def ceiling(hidden: Hidden, models: Models, store: Store, seed: int) -> dict[str, Any]:
    """The record of a network that learned from all labels, in an empty project."""
    label_with_truth(store, hidden)
    model = models.trained(store, "u2pl", seed, 1)
    test = test_rows(model, hidden.test) if model else []
    return {"set": hidden.name, "arm": "ceiling", "seed": seed, "round": 1, "test": test}
