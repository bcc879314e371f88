"""Train, val and test: which images teach and which ones judge; pure functions of a seed.

Frames of one camera look alike, so a split that scatters them over train and val measures memory.
Hence whole groups by default, else blocks of time with unused images between them; single images
only when told. An image without labels (`animals` None) goes where its group or block goes.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_io.errors import DataError
from data_io.types import Split

By = Literal["group", "block", "image"]
Table = NDArray[np.float64]

LEAK = (
    "neighboring images look nearly alike and single ones were dealt out: figures on val and test"
    " come out too good; use --by group or --by block"
)
_GAP = 0.02  # share of a group that stays unused at each border of blocks
_NOTICED = 0.05  # a share this far from the wanted one is told
_EMPTY = 10.0  # cost of a part without a group: more than any other fault
_MOVES = 200
_WORK = 10_000  # groups times restarts


@dataclass(frozen=True)
class SplitImage:
    """What a split looks at.

    Attributes:
        name: file name; its natural order inside a group is the order in time.
        animals: how many were labeled; None = the image has no labels.
    """

    id: str
    group: str
    name: str
    animals: int | None = None


@dataclass(frozen=True)
class Shares:
    """Wanted shares of val and test in [0, 1); train gets the rest.

    Raises:
        DataError: negative, both zero, or nothing left for train.
    """

    val: float
    test: float

    def __post_init__(self) -> None:
        if not (self.val >= 0 and self.test >= 0 and 0 < self.val + self.test < 1):
            why = f"the shares {self.val:g} for val and {self.test:g} for test cannot be drawn"
            raise DataError("split", why, "give shares from 0 on whose sum is below 1 and not 0")

    @property
    def wanted(self) -> dict[Split, float]:
        """Share of each part that is to have images, train first, test last."""
        parts: dict[Split, float] = {
            "train": 1.0 - self.val - self.test,
            "val": self.val,
            "test": self.test,
        }
        return {part: share for part, share in parts.items() if share > 0}


@dataclass(frozen=True)
class Drawn:
    """Image id -> its part, and what to know about it."""

    splits: dict[str, Split]
    warnings: tuple[str, ...] = ()


def draw(images: Iterable[SplitImage], shares: Shares, by: By, seed: int = 0) -> Drawn:
    """Draw a split one of the three ways; the same images, in any order, give the same one.

    Raises:
        DataError: the images cannot be divided this way.
    """
    if by == "group":
        return by_group(images, shares, seed)
    return by_block(images, shares) if by == "block" else by_image(images, shares, seed)


# --- whole groups ---------------------------------------------------------------------------------


def by_group(images: Iterable[SplitImage], shares: Shares, seed: int = 0) -> Drawn:
    """Whole groups, so that the shares and the animal counts of the parts come out as near as can.

    Local search from random starts over the share each part has of all images, of the labeled
    ones, and of those of each animal count (0, 1, 2-3, 4-7, ...).

    Raises:
        DataError: fewer groups than parts; a group is never cut.
    """
    ordered = in_order(images)
    groups = sorted({one.group for one in ordered})
    parts = list(shares.wanted)
    if len(groups) < len(parts):
        why = f"{_number(len(groups), 'group')} cannot make {', '.join(parts)} without being cut"
        raise DataError("split", why, "use --by block, or leave a part out", field="by")
    rng = random.Random(seed)
    rng.shuffle(groups)
    wanted = np.array(list(shares.wanted.values()))
    choice = _search(_table(ordered, groups), wanted, rng)
    part_of = {group: parts[index] for group, index in zip(groups, choice, strict=True)}
    return _drawn(ordered, [part_of[one.group] for one in ordered], shares)


def _table(images: Sequence[SplitImage], groups: Sequence[str]) -> Table:
    """(groups, columns): images, labeled images, labeled images of each class of animal counts."""
    classes = sorted({_count_class(one.animals) for one in images if one.animals is not None})
    columns = {kind: index for index, kind in enumerate(classes, start=2)}
    rows = {group: index for index, group in enumerate(groups)}
    table = np.zeros((len(groups), 2 + len(columns)))
    for one in images:
        table[rows[one.group], 0] += 1
        if one.animals is not None:
            table[rows[one.group], [1, columns[_count_class(one.animals)]]] += 1
    return table


def _count_class(animals: int) -> int:
    return animals.bit_length()


def _search(table: Table, wanted: Table, rng: random.Random) -> NDArray[np.int64]:
    """Index of the part of each group, the best of several descents."""
    parts = range(len(wanted))
    found: list[tuple[float, NDArray[np.int64]]] = []
    for _ in range(max(2, min(64, _WORK // len(table)))):
        start = rng.choices(parts, weights=wanted.tolist(), k=len(table))
        found.append(_descend(table, wanted, np.array(start, dtype=np.int64)))
    return min(found, key=lambda one: one[0])[1]


def _descend(
    table: Table, wanted: Table, choice: NDArray[np.int64]
) -> tuple[float, NDArray[np.int64]]:
    """Move the one group whose move helps most, until none helps: (cost, choice)."""
    groups, parts = np.arange(len(table)), np.arange(len(wanted))
    sums = np.zeros((len(wanted), table.shape[1]))
    np.add.at(sums, choice, table)
    cost = float(_cost(sums, wanted))
    for _ in range(_MOVES):
        moved = np.tile(sums, (len(groups), len(parts), 1, 1))  # (group, where to, part, column)
        moved[groups, :, choice] -= table[:, None]
        moved[:, parts, parts] += table[:, None]
        costs = _cost(moved, wanted)
        group, to = np.unravel_index(int(costs.argmin()), costs.shape)
        if costs[group, to] > cost - 1e-9:
            break
        cost, sums, choice[group] = float(costs[group, to]), moved[group, to], to
    return cost, choice


def _cost(sums: Table, wanted: Table) -> Table:
    """(..., parts, columns) -> (...): how far the parts are from their shares of every column."""
    totals = sums.sum(axis=-2, keepdims=True)
    off = ((sums / np.maximum(totals, 1) - wanted[:, None]) ** 2).sum(axis=-2)
    weights = totals[..., 0, :] / np.maximum(totals[..., 0, 1:2], 1)
    weights[..., :2] = 1
    empty = (sums[..., 0] == 0).sum(axis=-1)
    unlabeled = (sums[..., 1] == 0).sum(axis=-1)
    return np.asarray((weights * off).sum(axis=-1) + _EMPTY * empty + unlabeled)


# --- blocks of time -------------------------------------------------------------------------------


def by_block(images: Iterable[SplitImage], shares: Shares) -> Drawn:
    """Inside each group a block of time for train, then val, then test, with gaps between them.

    A gap has 2 % of the group's images, at least one; they stay unused. A group too short to be cut
    goes to train. Nothing is left to chance here.

    Raises:
        DataError: every group is too short.
    """
    ordered = in_order(images)
    parts: list[Split] = []
    short = []
    for group, members in groupby(ordered, key=lambda one: one.group):
        size = len(list(members))
        blocks = _blocks(size, shares)
        parts += blocks or ["train"] * size
        if not blocks:
            short.append(group)
    if set(parts) <= {"train"}:
        most = max(Counter(one.group for one in ordered).values(), default=0)
        need = 2 * len(shares.wanted) - 1
        why = f"no group can be cut: the largest has {_number(most, 'image')} and {need} are needed"
        raise DataError("split", why, "add images, or use --by image", field="by")
    told = [f"{_number(len(short), 'group')} too short to be cut went to train"] if short else []
    return _drawn(ordered, parts, shares, told)


def _blocks(size: int, shares: Shares) -> list[Split]:
    """The part of each image of a group in order of time; empty when it is too short."""
    wanted = shares.wanted
    gap = max(1, round(_GAP * size))
    left = size - gap * (len(wanted) - 1)
    if left < len(wanted):
        return []
    found: list[Split] = []
    for part, count in zip(wanted, _counts(left, wanted.values()), strict=True):
        if found:
            found += ["gap"] * gap
        found += [part] * count
    return found


# --- single images --------------------------------------------------------------------------------


def by_image(images: Iterable[SplitImage], shares: Shares, seed: int = 0) -> Drawn:
    """Labeled images one by one, each part with the same mix of animal counts.

    Leaks: near-duplicates of val and test images stay in train, and the result says so. Images
    without labels stay in train.

    Raises:
        DataError: fewer labeled images than parts.
    """
    ordered = in_order(images)
    labeled = [one for one in ordered if one.animals is not None]
    wanted = shares.wanted
    if len(labeled) < len(wanted):
        why = f"{_number(len(labeled), 'labeled image')} cannot make {', '.join(wanted)}"
        raise DataError("split", why, "label more images first")
    rng = random.Random(seed)
    rng.shuffle(labeled)
    left = [one.id for one in sorted(labeled, key=lambda one: one.animals or 0)]
    part_of: dict[str, Split] = {}
    counts = dict(zip(wanted, _counts(len(left), wanted.values()), strict=True))
    for part in [part for part in wanted if part != "train"]:
        taken = {left[index] for index in _spread(len(left), counts[part], rng)}
        part_of |= dict.fromkeys(taken, part)
        left = [id for id in left if id not in taken]
    return _drawn(ordered, [part_of.get(one.id, "train") for one in ordered], shares, [LEAK])


def _spread(size: int, count: int, rng: random.Random) -> list[int]:
    """`count` of the numbers below `size`, a random one from each of as many equal stretches."""
    ends = [index * size // count for index in range(count + 1)]
    return [rng.randrange(low, high) for low, high in pairwise(ends)]


# --- less labels ----------------------------------------------------------------------------------


def partition(images: Iterable[SplitImage], denominator: int, seed: int = 0) -> list[str]:
    """The labeled images that keep their labels when only 1/`denominator` of them may.

    U2PL's protocol (https://arxiv.org/abs/2203.03884): the others count as unlabeled.
    Of n labeled images ceil(n / denominator) are kept, as in its lists. For one seed smaller
    partitions are part of larger ones, and each shows an animal.

    Args:
        images: those of train; the ones without labels are passed over.
        denominator: 2, 4, 8 or 16; any number >= 1 works.

    Returns:
        Ids, by group and time.

    Raises:
        DataError: no labeled image shows an animal.
    """
    ordered = [one for one in in_order(images) if one.animals is not None]
    queue = ordered.copy()
    random.Random(seed).shuffle(queue)
    first = next((one for one in queue if one.animals), None)
    if first is None:
        why = "no labeled image of train shows an animal"
        raise DataError("split", why, "label some animals first", field="partition")
    queue = [first, *(one for one in queue if one is not first)]
    kept = {one.id for one in queue[: math.ceil(len(queue) / denominator)]}
    return [one.id for one in ordered if one.id in kept]


# --- what they share ------------------------------------------------------------------------------


def in_order(images: Iterable[SplitImage]) -> list[SplitImage]:
    """By group, then time; the id settles equal names."""
    return sorted(images, key=lambda one: (one.group, _natural(one.name), one.id))


def _natural(name: str) -> list[object]:
    """Sorts ``frame9`` before ``frame10``: text and (digits, number) take turns."""
    pieces = re.split("([0-9]+)", name)
    # Compared as text of equal length: there are no numbers too long for that.
    numbers = [(len(digits.lstrip("0")), digits.lstrip("0"), digits) for digits in pieces[1::2]]
    turns: list[object] = list(pieces)
    turns[1::2] = numbers
    return turns


def _counts(total: int, shares: Iterable[float]) -> list[int]:
    """Whole numbers >= 1 that add up to `total` (>= their number), as near to shares as can be."""
    ideal = [share * total for share in shares]
    counts = [max(1, math.floor(one)) for one in ideal]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        able = [index for index, count in enumerate(counts) if count + step >= 1]
        counts[min(able, key=lambda index: step * (counts[index] - ideal[index]))] += step
    return counts


def _drawn(
    images: Sequence[SplitImage],
    parts: Sequence[Split],
    shares: Shares,
    told: Sequence[str] = (),
) -> Drawn:
    splits = {one.id: part for one, part in zip(images, parts, strict=True)}
    members = {part: [one for one in images if splits[one.id] == part] for part in get_args(Split)}
    return Drawn(splits, (*told, *_doubts(members, shares.wanted)))


def _doubts(members: dict[Split, list[SplitImage]], wanted: dict[Split, float]) -> list[str]:
    """What makes a part less useful than its name promises."""
    labeled = {
        part: [one for one in found if one.animals is not None] for part, found in members.items()
    }
    what, counted = ("labeled images", labeled) if any(labeled.values()) else ("images", members)
    total = sum(len(found) for found in counted.values())
    doubts = []
    for part, share in wanted.items():
        real = len(counted[part]) / total
        if not labeled[part]:
            doubts.append(f"{part} has no labeled image")
        elif not any(one.animals for one in labeled[part]):
            doubts.append(f"no labeled image of {part} shows an animal")
        if abs(real - share) > _NOTICED:
            doubts.append(f"{part} has {real:.0%} of the {what} instead of {share:.0%}")
    return doubts


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
