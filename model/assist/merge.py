"""What a click changes: of an outline that a person vouches for the stretch it lies in alone.

A network answers with a whole new mask. Taken as it is, a stray click could spoil what was right
far away; so only the pieces of the difference that the click touches are taken over (after the
progressive merge of Chen et al. 2022, arXiv:2204.02574), and no farther than the click's reach.
Of an outline that a model proposed, or that clicks alone have made, everything may change that the
clicks reach.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model.assist.clicks import Click, within

TOUCH = 3.0  # pixels: a click this near to a piece of the difference means it
REACH = 1.0  # sizes (root of the area) of the animal: how far from a click anything changes

Mask = NDArray[np.bool_]


def merged(before: Mask, answer: Mask, click: Click, touch: float = TOUCH) -> Mask:
    """The mask after a click.

    Args:
        before: (H, W) bool, with a pixel.
        answer: (H, W) bool, what the network would have.
        click: in pixels of the same window.
        touch: see `TOUCH`, in pixels of this window.

    Returns:
        (H, W) bool. A click never takes its own pixel from the side that it names: that pixel is
        in the mask after a positive click, and out of it after a negative one.
    """
    near = _near(click, before.shape, touch)
    wanted = answer & ~before if click.positive else before & ~answer
    size = math.sqrt(max(np.count_nonzero(before), np.count_nonzero(answer)))
    change = touched(wanted, near) & _near(click, before.shape, REACH * size)
    own = _own(click, before.shape)
    return before | change | own if click.positive else before & ~change & ~own


def heard(before: Mask, clicks: Sequence[Click]) -> list[Click]:
    """The clicks that lie in the image, none where the last one asks for nothing.

    It does not outside the image, nor where the mask (H, W) says already what the click says; an
    empty mask says nothing.
    """
    inside = within(clicks, *before.shape)
    if not inside or inside[-1] != clicks[-1]:
        return []
    last = inside[-1]
    told = before.any() and before[int(last.y), int(last.x)] == last.positive
    return [] if told else inside


def answered(
    before: Mask, answer: Mask, clicks: Sequence[Click], free: bool, touch: float = TOUCH
) -> Mask:
    """The mask after the last of the clicks: `meant` where nobody vouches for it, else `merged`."""
    if free or not before.any():
        return meant(before, answer, clicks, touch)
    return merged(before, answer, clicks[-1], touch)


def meant(before: Mask, answer: Mask, clicks: Sequence[Click], touch: float = TOUCH) -> Mask:
    """The mask after a click at an outline that nobody vouches for.

    Args:
        before: (H, W) bool, empty where there is nothing yet.
        answer: (H, W) bool, what the network would have.
        clicks: all there were at this animal, in pixels of the same window.
        touch: see `TOUCH`, in pixels of this window.

    Returns:
        (H, W) bool: the pieces of the answer that meet a positive click or what was there, as far
        as the clicks reach; there is no reach where nothing was there. With the pixels of positive
        and without those of negative clicks. Where there is no such piece, a negative click takes
        away what it touches, and a positive one changes nothing.
    """
    seeds = before.copy()
    for click in clicks:
        if click.positive:
            seeds |= _near(click, answer.shape, touch)
    found = touched(answer, seeds)
    if not found.any():
        last = clicks[-1]
        return before if last.positive else merged(before, answer, last, touch)
    if before.any():
        size = math.sqrt(max(np.count_nonzero(before), np.count_nonzero(found)))
        reached = [_near(click, before.shape, REACH * size) for click in clicks]
        found = np.where(np.logical_or.reduce(reached), found, before)
    for click in clicks:
        found[_own(click, answer.shape)] = click.positive
    return found


def touched(pieces: Mask, near: Mask) -> Mask:
    """The 8-connected pieces of a mask (H, W) that have a pixel in another, `near`."""
    _, labels = cv2.connectedComponents(pieces.astype(np.uint8), connectivity=8)
    met = np.unique(labels[near & pieces])
    return np.isin(labels, met) & pieces


def _near(click: Click, shape: tuple[int, ...], radius: float) -> Mask:
    y = np.arange(shape[0])[:, None] + 0.5 - click.y
    x = np.arange(shape[1]) + 0.5 - click.x
    return np.asarray(y**2 + x**2 <= max(radius, 1.0) ** 2)


def _own(click: Click, shape: tuple[int, ...]) -> Mask:
    """The pixel of the click, where it lies in the window."""
    own = np.zeros(shape, np.bool_)
    row, column = math.floor(click.y), math.floor(click.x)
    if 0 <= row < shape[0] and 0 <= column < shape[1]:
        own[row, column] = True
    return own
