"""The answers in tests/vectors/raster.json are those of data_io; the browser must give the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data_io import geometry as geo

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "raster.json").read_text(encoding="utf-8")
)
WIDTH, HEIGHT = VECTORS["width"], VECTORS["height"]
REGIONS = {case["name"]: case["parts"] for case in VECTORS["rasters"]}


def raster(parts: Any) -> NDArray[np.bool_]:
    """(H, W) bool raster of JSON parts."""
    return geo.mask_of_parts(geo.parts_of_json(parts), HEIGHT, WIDTH)


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths, column by column, starting outside."""
    lengths: list[int] = geo.runs_of_rle(geo.rle_of_mask(mask)).tolist()
    return lengths


@pytest.mark.parametrize("case", VECTORS["rasters"], ids=lambda case: case["name"])
def test_rings(case: dict[str, Any]) -> None:
    assert runs(raster(case["parts"])) == case["runs"]


@pytest.mark.parametrize("case", VECTORS["outlines"], ids=lambda case: case["name"])
def test_outlines(case: dict[str, Any]) -> None:
    mask = geo.mask_of_rle(geo.rle_of_runs(case["runs"], case["height"], case["width"]))
    assert geo.parts_to_json(geo.parts_of_mask(mask)) == case["parts"]


@pytest.mark.parametrize("case", VECTORS["pairs"], ids=lambda case: f"{case['a']}, {case['b']}")
def test_pairs(case: dict[str, Any]) -> None:
    a, b = raster(REGIONS[case["a"]]), raster(REGIONS[case["b"]])
    assert runs(a | b) == case["union"]
    assert runs(a & ~b) == case["difference"]
    assert runs(a & b) == case["intersection"]


def test_the_cases_cover_what_is_hard() -> None:
    rings = [part for parts in REGIONS.values() for part in parts]
    outlines = [part for case in VECTORS["outlines"] for part in case["parts"]]
    assert any(part["holes"] for part in rings)
    assert any(len(parts) > 1 for parts in REGIONS.values())
    assert any(min(part["outer"]) < 0 for part in rings)
    assert any(value % 1 for part in rings for value in part["outer"])
    assert any(part["holes"] for part in outlines)
    assert any(case["filled"] != case["runs"] for case in VECTORS["outlines"])
