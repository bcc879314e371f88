"""Random herds with verified areas, and what is left of them when a pixel holds one number."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io.formats.labels import Export, ExportImage, FileImage, LabelFile, Written
from data_io.types import Instance
from tests.data_io.formats.herds import herds


@st.composite
def verified_herds(draw: st.DrawFn, attributes: st.SearchStrategy[Any] | None = None) -> Export:
    """A herd of which images are verified whole, in part, or not at all."""
    export = draw(herds(attributes))
    images = []
    for image in export.images:
        shape = image.record.height, image.record.width
        masks = npst.arrays(np.bool_, shape, fill=st.booleans())
        verified = draw(st.none() | st.none() | masks.map(geo.parts_of_mask))
        images.append(dataclasses.replace(image, verified=verified))
    return dataclasses.replace(export, images=images)


def painted(image: ExportImage) -> tuple[list[tuple[Instance, NDArray[np.bool_]]], NDArray[Any]]:
    """Each instance with pixels left and its mask, and the mask of what is verified."""
    shape = image.record.height, image.record.width
    numbers = np.zeros(shape, dtype=int)
    for number, (_, one) in enumerate(image.instances, start=1):
        numbers[geo.mask_of_parts(one.parts, *shape)] = number
    verified = np.ones(shape, dtype=bool)
    if image.verified is not None:
        verified = geo.mask_of_parts(image.verified, *shape)
    numbers[~verified] = 0
    kept = [(one, numbers == k) for k, (_, one) in enumerate(image.instances, start=1)]
    return [(one, mask) for one, mask in kept if mask.any()], verified


def check_verified(image: FileImage, verified: NDArray[np.bool_]) -> None:
    """The area read is the one stored; None and nothing but None stands for the whole image."""
    assert (image.verified is None) == bool(verified.all())
    if image.verified is not None:
        assert (geo.mask_of_parts(image.verified, *verified.shape) == verified).all()


def check_painted(
    export: Export,
    written: Written,
    file: LabelFile,
    check: Callable[[Instance, Instance], None] = lambda stored, read: None,
) -> None:
    """Rasters, names, stacking order and verified areas as the last painted pixel says."""
    assert file.refused == ()
    assert file.repaired == ()
    names = {category.id: category.name for category in export.categories}
    keys = {category.key: category.name for category in file.categories}
    assert list(keys.values()) == list(names.values())
    read = {image.file_name: image for image in file.images}
    assert set(read) == set(export.names) == set(written.expected)
    for image, name in zip(export.images, export.names, strict=True):
        rows, verified = painted(image)
        found = read[name]
        assert (found.width, found.height) == (image.record.width, image.record.height)
        assert found.complete
        check_verified(found, verified)
        assert len(found.instances) == len(rows) == len(written.expected[name])
        for (stored, mask), again, promised in zip(
            rows, found.instances, written.expected[name], strict=True
        ):
            assert geo.same_raster(promised, geo.rle_of_mask(mask))
            assert (geo.mask_of_parts(again.parts, *mask.shape) == mask).all()
            assert keys[again.category] == names[stored.category]
            check(stored, again)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from([10**400, 1e308, -0.0, 3, "\ud800", "", "../x", "/etc/passwd", "a.png"]),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.sampled_from(["0", "1", "label", "name", "file"]), inner, max_size=3)
    ),
    max_leaves=10,
)

BROKEN_JSON = ["", "{", "[]", '"text"', "null", "[" * 100_000, '{"x": ' + "9" * 10_000 + "}"]


def replace_somewhere(data: st.DataObject, tree: Any) -> None:
    """Put anything at one to three places of a JSON value."""
    for _ in range(data.draw(st.integers(1, 3))):
        node = tree
        while True:
            keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
            key = data.draw(st.sampled_from(keys))
            inner = node[key]
            if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
                break
            node = inner
        node[key] = copy.deepcopy(data.draw(ANYTHING))  # some of it is shared between draws


def dump(file: Path, tree: Any) -> None:
    """Write a JSON file."""
    file.write_text(json.dumps(tree), encoding="utf-8")
