"""How a simulated person clicks at an animal: where, how often, and until when.

A click goes into the largest error that is seen, at a random place of it, likelier far from its
border (the "sample" robot of `model.assist.clicks`). Who sees that a click has made it worse undoes
it; who gets nowhere stops clicking, and goes on with brush and vertices or draws the animal anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.assistant import UNKNOWN
from app.simulate.clock import Action
from app.simulate.shapes import Error, Mask, errors, iou
from model.assist.clicks import Click, next_click
from model.assist.engine import Answer, clicked

MOST_CLICKS = 20  # at one animal
SOME = 3  # animals that say how large one is
LEAST_GAIN = 0.01  # of IoU: a click that brings less was the last one

Rng = np.random.Generator
Sees = Callable[[Error, Mask], bool]


@dataclass(frozen=True, eq=False)
class Hand:
    """The click tool on one image.

    Attributes:
        answer: the refiner.
        image: (H, W, 3) uint8 RGB.
        sizes: of the animals on it so far (root of the area), pixels.
    """

    answer: Answer
    image: NDArray[np.uint8]
    sizes: list[float] = field(default_factory=list)

    @property
    def usual(self) -> float:
        """Size of an animal here, as the canvas and `app.assistant` say it."""
        if len(self.sizes) < SOME:
            return UNKNOWN * max(self.image.shape)
        return float(np.median(self.sizes))

    def click(
        self, mask: Mask, wanted: Mask, sees: Sees, good: Callable[[float], bool], rng: Rng
    ) -> tuple[list[Action], Mask, bool]:
        """Click until it looks good, or clicks bring nothing more.

        Args:
            mask, wanted: (H, W) bool, what is proposed (nothing, for a new animal), and what shall
                be.
            sees: whether an error of a mask is seen.
            good: whether an IoU looks good enough.

        Returns:
            What was done, the mask, and whether it looked good.
        """
        actions, clicks = [Action("think")], list[Click]()
        right = iou(mask, wanted)
        while len(clicks) < MOST_CLICKS:
            place = self._place(mask, wanted, sees, rng)
            if place is None:
                break
            clicks.append(place)
            actions.append(Action("click"))
            after = clicked(self.answer, self.image, mask, clicks, self.usual, free=True)
            gained, right = iou(after, wanted) - right, iou(after, wanted)
            if gained < 0:
                return [*actions, Action("undo")], mask, False
            mask = after
            if good(right):
                self.sizes.append(float(np.sqrt(np.count_nonzero(mask))))
                return actions, mask, True
            if gained < LEAST_GAIN:
                break
        return actions, mask, False

    @staticmethod
    def _place(mask: Mask, wanted: Mask, sees: Sees, rng: Rng) -> Click | None:
        if not mask.any():
            return next_click(wanted, mask, rng)
        seen = next((error for error in errors(mask, wanted) if sees(error, wanted)), None)
        if seen is None:
            return None
        nothing = np.zeros_like(seen.mask)
        truth, shown = (seen.mask, nothing) if seen.missing else (nothing, seen.mask)
        return next_click(truth, shown, rng)
