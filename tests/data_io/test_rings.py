"""Single rings have the raster of regions with holes and parts."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from data_io import geometry as geo
from data_io import rings
from data_io.types import Part, Ring

Mask = NDArray[np.bool_]
MASKS = npst.arrays(np.bool_, st.tuples(st.integers(1, 16), st.integers(1, 16)))


def raster(found: list[Ring], mask: Mask) -> Mask:
    """What pycocotools makes of rings that went through JSON."""
    flat = json.loads(json.dumps([geo.ring_to_flat(ring) for ring in found]))
    merged = coco_mask.merge(coco_mask.frPyObjects(flat, *mask.shape))
    return np.asarray(coco_mask.decode(merged), bool)


@given(MASKS)
@settings(max_examples=200, deadline=None)
def test_holes_on_slits_and_parts_on_bridges_keep_any_raster(mask: Mask) -> None:
    parts = geo.parts_of_mask(mask)
    if not parts:
        return
    assert (raster(rings.separate_rings(parts), mask) == mask).all()
    joined = rings.one_ring(parts)
    assert len(joined) == 1
    assert (raster(joined, mask) == mask).all()


def test_rings_as_drawn_come_first_and_the_exact_outline_second() -> None:
    triangle = np.array([[1.25, 1.5], [12.5, 2.25], [6.75, 14.5]])
    parts = (Part(triangle),)
    rle = geo.rle_of_parts(parts, 16, 16)
    (kept,) = rings.exact_rings(parts, rle, rings.one_ring) or []
    assert (kept == triangle).all()
    (drawn,) = rings.exact_rings(parts, rle, rings.one_ring, stored=np.round) or []
    assert (drawn == np.round(drawn)).all()
    assert geo.same_raster(rings.rings_rle([drawn], 16, 16), rle)


def test_a_raster_no_ring_keeps_is_none() -> None:
    parts = (Part(np.array([[1.0, 1.0], [9.0, 1.0], [9.0, 9.0], [1.0, 9.0]])),)
    rle = geo.rle_of_parts(parts, 16, 16)
    assert rings.exact_rings(parts, rle, rings.one_ring, stored=lambda ring: ring * 0.5) is None
