"""Random herds for the tests of formats, and what each format has to give back."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import Export, ExportImage, LabelFile, Picture, Written
from data_io.types import Category, ImageRecord, Instance, Part, Parts

COW = Category("c-cow", "cow", "#e69f00", 7)
CALF = Category("c-calf", "Kälbchen: \"klein\" & 'jung' #2", "#56b4e9", 3)
CATEGORIES = (COW, CALF)


def box_part(x0: float, y0: float, x1: float, y1: float) -> Part:
    return Part(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64))


HOLED = (Part(box_part(1, 1, 13, 11).outer, (box_part(3, 3, 8, 7).outer,)),)
TWO_PARTS = (box_part(0, 0, 2.25, 5), box_part(6, 0.5, 15, 4))


@contextmanager
def stuck_after(seconds: float = 60.0) -> Iterator[None]:
    """Fail where reading hostile input does not end; far above what a loaded machine needs."""

    def give_up(*_: object) -> None:
        pytest.fail(f"still reading after {seconds:g} seconds")  # no reader catches this

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def instance(parts: Parts, **keys: Any) -> Instance:
    return Instance(**{"id": "x", "category": COW.id, "parts": parts, **keys})


def export_of(images: Sequence[tuple[int, int, Sequence[Instance]]], **keys: Any) -> Export:
    """An export of (width, height, instances) called `cam 1/0.jpg`, `cam 1/1.jpg` ..."""
    numbers = iter(range(1, 1000))
    found = [
        ExportImage(
            ImageRecord(f"i{k}", f"/herd/{k}.jpg", width, height, "", "g", coco_id=11 + k),
            [(next(numbers), one) for one in instances],
        )
        for k, (width, height, instances) in enumerate(images)
    ]
    names = [f"cam 1/{k}.jpg" for k in range(len(images))]
    return Export(**{"images": found, "names": names, "categories": CATEGORIES, **keys})


def _regions(width: int, height: int) -> st.SearchStrategy[Parts]:
    """Noise (many parts, holes, single pixels, borders), lines, and rings drawn anyhow."""
    noise = npst.arrays(np.bool_, (height, width)).map(geo.parts_of_mask)
    rows = st.integers(0, height - 1).map(lambda y: (box_part(0, y, width, y + 1),))
    columns = st.integers(0, width - 1).map(lambda x: (box_part(x, 0, x + 1, height),))
    points = st.tuples(st.floats(-2, width + 2), st.floats(-2, height + 2))
    rings = st.lists(points, min_size=3, max_size=7).map(lambda ring: Part(np.array(ring)))
    return st.one_of(
        noise, noise, rows, columns, st.lists(rings, min_size=1, max_size=3).map(tuple)
    )


@st.composite
def herds(draw: st.DrawFn, attributes: st.SearchStrategy[Any] | None = None) -> Export:
    """One to three small images with overlapping instances, some without a pixel."""
    images = []
    for _ in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(1, 14)), draw(st.integers(1, 14))
        some = st.builds(
            instance,
            _regions(width, height),
            category=st.sampled_from([one.id for one in CATEGORIES]),
            attributes=st.just({}) if attributes is None else attributes,
            source=st.sampled_from(["human", "edited", "model"]),
            score=st.none() | st.floats(0, 1),
        )
        images.append((width, height, draw(st.lists(some, max_size=4))))
    return export_of(images)


def with_pixels(export: Export) -> dict[str, list[tuple[Instance, geo.Rle]]]:
    """What a format has to give back by file name: every instance but those without a pixel."""
    found: dict[str, list[tuple[Instance, geo.Rle]]] = {}
    for image, name in zip(export.images, export.names, strict=True):
        size = image.record.height, image.record.width
        rasters = [(one, geo.rle_of_parts(one.parts, *size)) for _, one in image.instances]
        found[name] = [(one, rle) for one, rle in rasters if geo.area_of_rle(rle)]
    return found


def check_round_trip(
    export: Export,
    written: Written,
    file: LabelFile,
    key: Callable[[Category], str],
    check: Callable[[Instance, Instance], None] = lambda stored, read: None,
) -> None:
    """Rasters, categories and stacking order as stored; `check` for what else a format keeps."""
    assert file.refused == ()
    keys = {category.id: key(category) for category in export.categories}
    stored = with_pixels(export)
    assert {image.file_name for image in file.images} == set(stored) == set(written.expected)
    for image in file.images:
        assert image.complete
        rows = stored[image.file_name]
        assert len(image.instances) == len(rows) == len(written.expected[image.file_name])
        for (one, rle), read, promised in zip(
            rows, image.instances, written.expected[image.file_name], strict=True
        ):
            assert geo.same_raster(promised, rle)
            again = geo.rle_of_parts(read.parts, image.height, image.width)
            assert geo.same_raster(again, rle)
            geo.validate_parts(read.parts)
            assert read.category == keys[one.category]
            check(one, read)


class Shelf:
    """Pictures by name."""

    def __init__(self, *pictures: Picture) -> None:
        self._pictures = {name: one for one in pictures for name in (one.name, one.name[:-4])}

    def find(self, name: str) -> Picture | None:
        return self._pictures.get(name)


PICTURES = Shelf(Picture("a.jpg", 60, 40))


def json_values(*special: Any) -> st.SearchStrategy[Any]:
    """Any JSON value, with some that are chosen to do harm."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    nasty = st.sampled_from([10**400, 10**18, 1e308, -0.0, "\ud800", "", "../x", *special])
    keys = st.sampled_from(["size", "counts", "points", "label"])
    return st.recursive(
        plain | nasty,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=8,
    )


def read_or_refuse(read: Callable[[], LabelFile]) -> LabelFile | None:
    """What a reader makes of hostile input: labels that hold together, or one sentence."""
    try:
        with stuck_after():
            file = read()
    except DataError as error:
        assert "\n" not in error.sentence()  # noqa: PT017
        return None
    for error in file.refused:
        assert "\n" not in error.sentence()
        assert error.__traceback__ is None
    known = {category.key for category in file.categories}
    for image in file.images:
        for one in image.instances:
            rle = geo.rle_of_parts(one.parts, image.height, image.width)
            assert geo.area_of_rle(rle) > 0
            assert one.category in known
            for part in one.parts:
                assert part.outer.min() >= 0
                assert (part.outer <= [image.width, image.height]).all()
    return file
