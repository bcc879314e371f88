"""Seconds until an animal has an outline of IoU `GOAL`: by clicks, brush or vertices, one clock.

The clock is that of `app/simulate/clock.py`, without its noise. The hand mends the largest error
that it gains something at, exactly, and stops at the goal; a proposal is judged first, and drawn
anew where mending it would take longer. What never gets there is charged the outline from scratch
on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.simulate.clock import STANDARD, Action
from app.simulate.shapes import (
    Error,
    Repair,
    Screen,
    brushed,
    errors,
    iou,
    outlined,
    reshaped,
    vertices_for,
)
from benchmarks.click_table import clicks_to
from data_io.geometry import rle_of_mask, window_of_rle

GOAL, MOST = 0.90, 20  # IoU, repairs
AROUND = 48  # pixels around an animal in which it is edited
TOOLS = ("brush", "polygon")

Mask = NDArray[np.bool_]


def by_clicks(ious: Sequence[float], truth: Mask, proposed: bool) -> float:
    """Seconds of clicks with these IoUs at first and after each of them."""
    count = clicks_to(ious, GOAL)
    actions = [Action("think"), Action("click", count)] if count else []
    if max(ious) < GOAL:
        actions += outline(truth)
    return STANDARD.seconds([*_judged(proposed), *actions])


def by_tool(tool: str, before: Mask, truth: Mask, proposed: bool) -> float:
    """Seconds with the brush, or by vertices, from what there is (H, W) to the goal."""
    actions, drawn = _judged(proposed), outline(truth)
    anew = STANDARD.seconds([*actions, *drawn])
    if tool == "polygon" and not before.any():
        return anew
    most = anew if before.any() else math.inf
    screen = Screen(max(truth.shape))
    left, top, right, bottom = window_of_rle(rle_of_mask(before | truth), AROUND)
    part = np.s_[top:bottom, left:right]
    mask, wanted = (np.ascontiguousarray(one[part]) for one in (before, truth))
    for _ in range(MOST):
        if iou(mask, wanted) >= GOAL:
            return STANDARD.seconds(actions)
        repair = _best(tool, mask, wanted, screen)
        if repair is None:
            break
        mask, actions = repair.mask, [*actions, *repair.actions]
        if STANDARD.seconds(actions) > most:
            return anew
    reached = iou(mask, wanted) >= GOAL
    return STANDARD.seconds(actions if reached else [*actions, *drawn])


def outline(truth: Mask) -> list[Action]:
    """What drawing the animal from scratch takes."""
    parts = outlined(rle_of_mask(truth), GOAL)
    return [Action("think"), Action("outline", vertices_for(parts))]


def _judged(proposed: bool) -> list[Action]:
    return [Action("accept")] if proposed else []


def _best(tool: str, mask: Mask, wanted: Mask, screen: Screen) -> Repair | None:
    """The repair of the largest error that gains something."""
    before = iou(mask, wanted)
    for error in errors(mask, wanted):
        repair = _repair(tool, mask, wanted, error, screen)
        if repair is not None and iou(repair.mask, wanted) > before:
            return repair
    return None


def _repair(tool: str, mask: Mask, wanted: Mask, error: Error, screen: Screen) -> Repair | None:
    if tool == "brush":
        return brushed(mask, error, screen, None)
    return reshaped(mask, wanted, error, thought=False)
