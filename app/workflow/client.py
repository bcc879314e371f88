"""What a browser sends, checked and turned into records. Nothing it says about scores is believed.

Convention: coordinates as in `data_io.types`; rings that leave the image are clipped to it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from data_io.errors import DataError
from data_io.geometry import (
    area_of_rle,
    parts_of_json,
    parts_to_json,
    rle_of_parts,
    validate_parts,
)
from data_io.types import ImageRecord, Instance, Part, Parts, Ring

MAX_INSTANCES = 5_000  # an image
MAX_VERTICES = 50_000  # an instance
MAX_VERTICES_IMAGE = 500_000
MAX_ID = 128
_UNIQUE = re.compile(r"[0-9a-f]{16,64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOTHING: Mapping[str, Instance] = MappingProxyType({})
_SCALARS = (str, int, float, bool, type(None))


def instances_of_client(
    sent: object,
    record: ImageRecord,
    known: Mapping[str, Instance],
    categories: Mapping[str, str],
    stood: Mapping[str, Instance] = _NOTHING,
) -> tuple[Instance, ...]:
    """The instances a browser sent for one image.

    A browser sends the whole image at each save, but of a herd all animals but one are as they
    were: those it sends as their id alone.

    Args:
        sent: the `instances` of the request, any JSON.
        record: the image they belong to.
        known: id -> instance of the image's newest revision and proposal: origin, score and
            unknown keys are taken from there, not from the request.
        categories: id a browser may send -> id of the live category it stands for.
        stood: id -> instance of the revision the edit started from.

    Raises:
        DataError: anything that cannot be an instance of this image.
    """
    rows = _list(sent, "instances", MAX_INSTANCES)
    instances = tuple(
        _unchanged(row, f"instance {number}", stood)
        if isinstance(row, str)
        else _instance(row, f"instance {number}", record, known, categories)
        for number, row in enumerate(rows, start=1)
    )
    ids = [instance.id for instance in instances]
    if len(set(ids)) < len(ids):
        raise _bad("two instances have the same id", "reload the image", field="id")
    vertices = sum(_vertices(instance.parts) for instance in instances)
    if vertices > MAX_VERTICES_IMAGE:
        raise _bad(f"{vertices} vertices are too many", f"send at most {MAX_VERTICES_IMAGE}")
    return instances


def rejected_of_client(sent: object) -> tuple[str, ...]:
    """The ids of proposed instances that the person deleted.

    Raises:
        DataError: not a list of short texts.
    """
    rows = _list([] if sent is None else sent, "rejected", MAX_INSTANCES)
    if not all(isinstance(row, str) and 0 < len(row) <= MAX_ID for row in rows):
        raise _bad("an id is not a short text", "reload the image", field="rejected")
    return tuple(dict.fromkeys(rows))


def base_of_client(header: str | int | None) -> int:
    """The revision number of an If-Match header, quoted or not.

    Raises:
        DataError: missing or not a whole number >= 0.
    """
    text = str(header if header is not None else "").strip().strip('"')
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise _bad("the revision it started from is missing", "reload the image", field="If-Match")
    return int(text)


def clip(parts: Parts, height: int, width: int) -> Parts:
    """What of a region lies inside the image; parts wholly outside vanish."""
    inside = []
    for part in parts:
        outer = _clip_ring(part.outer, height, width)
        if outer is None:
            continue
        holes = (_clip_ring(hole, height, width) for hole in part.holes)
        inside.append(Part(outer, tuple(hole for hole in holes if hole is not None)))
    return tuple(inside)


def _unchanged(row: str, index: str, stood: Mapping[str, Instance]) -> Instance:
    if row not in stood:
        raise _bad("is not in the revision the edit started from", "reload the image", index, "id")
    return stood[row]


def _instance(
    row: object,
    index: str,
    record: ImageRecord,
    known: Mapping[str, Instance],
    categories: Mapping[str, str],
) -> Instance:
    if not isinstance(row, dict):
        raise _bad("is not an object", "reload the image", index=index)
    named = row.get("category")
    category = categories.get(named) if isinstance(named, str) else None
    if category is None:
        raise _bad("there is no such category", "choose one from the list", index, "category")
    sent_id = row.get("id")
    before = known.get(sent_id) if isinstance(sent_id, str) else None
    parts = _parts(row.get("parts"), index, record, before)
    attributes = _attributes(row.get("attributes"), index)
    if not isinstance(sent_id, str) or not 0 < len(sent_id) <= MAX_ID:
        raise _bad("the id is not a short text", "reload the image", index, "id")
    if before is None:
        # A page's own numbering would repeat on the next image, and ids name COCO annotations.
        unique = _UNIQUE.fullmatch(sent_id) is not None
        own = sent_id if unique else uuid.uuid5(uuid.NAMESPACE_OID, f"{record.id}/{sent_id}").hex
        source = row.get("source")
        return Instance(
            id=own,
            category=category,
            parts=parts,
            source="edited" if source in ("model", "edited") else "human",
            attributes=attributes,
        )
    same = parts is before.parts and category == before.category
    if same and attributes == before.attributes:
        return before
    after = replace(before, category=category, parts=parts, attributes=attributes)
    if before.source == "model" and not same_shape(before, after):
        after = replace(after, source="edited")
    return after


def same_shape(a: Instance, b: Instance) -> bool:
    """True when category and every ring are equal, vertex for vertex."""
    if a.category != b.category or len(a.parts) != len(b.parts):
        return False
    if a.parts is b.parts:
        return True
    return all(
        len(p.holes) == len(q.holes)
        and np.array_equal(p.outer, q.outer)
        and all(np.array_equal(h, g) for h, g in zip(p.holes, q.holes, strict=True))
        for p, q in zip(a.parts, b.parts, strict=True)
    )


def _parts(sent: object, index: str, record: ImageRecord, before: Instance | None) -> Parts:
    if before is not None and sent == parts_to_json(before.parts):
        return before.parts
    if _numbers(sent) > 2 * MAX_VERTICES:
        raise _bad("has too many vertices", f"draw at most {MAX_VERTICES}", index, "parts")
    parts = clip(parts_of_json(sent, "the canvas", index), record.height, record.width)
    if not parts:
        raise _bad("lies outside the image", "draw it inside", index, "parts")
    validate_parts(parts, "the canvas", index, "parts")
    if area_of_rle(rle_of_parts(parts, record.height, record.width)) == 0:
        raise _bad("covers no pixel", "draw around the animal", index, "parts")
    return parts


def _numbers(sent: object) -> int:
    """How many numbers nested lists hold, before anything is built from them."""
    if isinstance(sent, dict):
        return sum(_numbers(sent.get(key)) for key in ("outer", "holes"))
    if isinstance(sent, list):
        if sent and not isinstance(sent[0], list | dict):
            return len(sent)
        return sum(_numbers(item) for item in sent)
    return 0


def _attributes(sent: object, index: str) -> dict[str, Any]:
    if sent is None:
        return {}
    fits = isinstance(sent, dict) and len(sent) <= 100
    if not fits or not all(
        isinstance(key, str)
        and len(key) <= 200
        and isinstance(value, _SCALARS)
        and len(str(value)) <= 2_000
        and not (isinstance(value, float) and not np.isfinite(value))
        for key, value in sent.items()  # type: ignore[attr-defined]
    ):
        raise _bad("must be a few plain texts or numbers", "shorten them", index, "attributes")
    return dict(sent)  # type: ignore[call-overload]


def _clip_ring(ring: Ring, height: int, width: int) -> Ring | None:
    """The ring cut at the four borders one after the other; None when nothing is left."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    if (low >= 0).all() and high[0] <= width and high[1] <= height:
        return ring
    for axis, limit, sign in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        ring = _cut(ring, axis, float(limit), sign)
        if len(ring) < 3:
            return None
    return ring


def _cut(ring: Ring, axis: int, limit: float, sign: int) -> Ring:
    """The part of a ring where sign * (coordinate - limit) >= 0."""
    kept: list[Ring] = []
    distance = sign * (ring[:, axis] - limit)
    for here in range(len(ring)):
        before = here - 1
        if (distance[before] >= 0) != (distance[here] >= 0):
            share = distance[before] / (distance[before] - distance[here])
            crossing = ring[before] + share * (ring[here] - ring[before])
            crossing[axis] = limit
            kept.append(crossing)
        if distance[here] >= 0:
            kept.append(ring[here])
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def _vertices(parts: Parts) -> int:
    return sum(len(part.outer) + sum(len(hole) for hole in part.holes) for part in parts)


def _list(sent: object, field: str, most: int) -> list[Any]:
    if not isinstance(sent, list):
        raise _bad("is not a list", "reload the image", field=field)
    if len(sent) > most:
        raise _bad(f"has {len(sent)} entries", f"send at most {most}", field=field)
    return sent


def _bad(why: str, remedy: str, index: str = "", field: str = "") -> DataError:
    return DataError("the canvas", why, remedy, index=index, field=field)
