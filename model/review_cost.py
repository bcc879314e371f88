"""How many seconds a person is expected to spend on a review region.

Keystroke-level times of Card, Moran and Newell (CACM 1980, https://doi.org/10.1145/358886.358895):
pointing 1.10 s, a button .10, a key .20, a decision 1.35; drawing .9 s and .16 s a centimeter.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["boundary", "possible miss", "possible false alarm", "split or merge"]

POINT, BUTTON, KEY, DECIDE = 1.10, 0.10, 0.20, 1.35  # seconds
CLICK = POINT + 2 * BUTTON
STROKE, STROKE_CM = 0.9, 0.16  # seconds, seconds a centimeter
SHOWN = 25.0  # centimeters that the long side of an image has on the screen
ANSWER = DECIDE + KEY  # look at the highlight, accept what it holds


def review_seconds(kind: Kind, chance: float, length: float, long_side: int) -> float:
    """Look and answer, and by `chance` the fix on top.

    A border is painted or cut in one stroke; a missed animal takes a click and a look at what came
    of it; "not an animal" is another key.

    Args:
        chance: that something has to be fixed, in [0, 1].
        length: of the border in the region, pixels.
        long_side: of the image, pixels.
    """
    if kind == "possible false alarm":
        fix = KEY
    elif kind == "possible miss":
        fix = CLICK + DECIDE
    else:
        fix = CLICK + STROKE + STROKE_CM * SHOWN * length / long_side
    return ANSWER + chance * fix
