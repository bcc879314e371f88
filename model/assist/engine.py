"""Clicks on an image -> the animal's mask, whichever network answers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from model.assist.clicks import Click
from model.assist.crops import Window, crop, pasted
from model.assist.merge import TOUCH, merged

AGAIN = 1.5  # a first answer is looked at again where its window is so much off

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Answer = Callable[[Floats], Floats]  # (6, SIDE, SIDE) -> logits (SIDE, SIDE)


def clicked(
    answer: Answer, image: Bytes, before: Mask, clicks: Sequence[Click], usual: float
) -> Mask:
    """The mask after the last of the clicks.

    Args:
        image: (H, W, 3) uint8 RGB. before: (H, W) bool, the mask before that click.
        clicks: all of them, oldest first, at least one; those outside the image say nothing.
        usual: size (root of the area) of an animal here, image pixels: how much to look at first.

    Returns:
        (H, W) bool. Nothing changes where the last click lies outside the image.
    """
    height, width = before.shape
    inside = [one for one in clicks if 0 <= one.x < width and 0 <= one.y < height]
    if not inside or inside[-1] != clicks[-1]:
        return before
    window = Window.for_click(before, inside, usual)
    found = _asked(answer, image, before, inside, window)
    if not before.any() and found.any():
        better = Window.for_click(found, inside, usual)
        if not 1 / AGAIN < better.side / window.side < AGAIN:
            found = _asked(answer, image, before, inside, better)
            window = better
    return merged(before, found, inside[-1], max(TOUCH, TOUCH / window.scale))


def _asked(
    answer: Answer, image: Bytes, before: Mask, clicks: Sequence[Click], window: Window
) -> Mask:
    """What a network answers; as before where it was not shown the image."""
    found, shown = pasted(answer(crop(image, before, clicks, window)), window, *before.shape)
    return np.asarray(np.where(shown, found, before), np.bool_)
