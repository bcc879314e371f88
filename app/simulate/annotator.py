"""A simulated person: what is seen, decided and drawn, one animal after the other.

The person never knows the truth. A `Target` is what this person takes for the animal: the truth
with boundary noise. Labels are what the person accepts: the proposal as it is, the proposal after
repairs, or an outline drawn from scratch; none is ever the target itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from app.simulate.clock import STANDARD, Action, noisy
from app.simulate.hand import Hand
from app.simulate.shapes import (
    Error,
    Mask,
    Repair,
    Screen,
    Window,
    around,
    chosen,
    errors,
    iou,
    jittered,
    outlined,
    vertices_for,
)
from data_io.geometry import (
    Rle,
    area_of_rle,
    crop_of_rle,
    mask_of_rle,
    parts_of_mask,
    rle_intersection,
    rle_iou,
    rle_of_mask,
    rle_of_parts,
    rle_union,
)
from data_io.types import Parts

SAME = 0.1  # IoU from which a proposal is taken for an animal's
MOST_REPAIRS = 20  # of one animal


@dataclass(frozen=True)
class Traits:
    """How good a person's eyes and hands are; the figures of the protocol, frozen.

    Attributes:
        agreement: IoU of what the person takes for the animal with the truth.
        notice: chance that an error outside the highlights is seen.
        least: share of the animal's area below which such an error is never seen.
        doubt: sigma of the IoU that a person believes to see.
        bias: chance that a wrong proposal is accepted all the same.
        accepts: IoU believed from which a label is good enough.
        hopeless: IoU below which a proposal is rejected and the animal drawn anew.
        outline: IoU with the target that an outline from scratch has.
    """

    agreement: float = 0.95
    notice: float = 0.6
    least: float = 0.005
    doubt: float = 0.03
    bias: float = 0.1
    accepts: float = 0.90
    hopeless: float = 0.5
    outline: float = 0.95


@dataclass(frozen=True, eq=False)
class Target:
    """What the person takes for an animal; `key` names it, `category` is a category id."""

    key: str
    category: str
    rle: Rle


@dataclass(frozen=True, eq=False)
class Shown:
    """A proposed animal on the screen."""

    id: str
    category: str
    parts: Parts
    rle: Rle


@dataclass(frozen=True, eq=False)
class Label:
    """An animal of the finished image; `id` is the proposal's it was made from, or None."""

    id: str | None
    category: str
    parts: Parts


@dataclass(frozen=True, eq=False)
class Step:
    """What was done about one animal.

    Attributes:
        key: the target's, None for a proposal or a highlight where there is none.
        actions: in order.
        label: None where nothing is left: an animal overlooked, a false alarm rejected.
    """

    key: str | None
    actions: tuple[Action, ...]
    label: Label | None


@dataclass(frozen=True)
class Annotator:
    """Works on images; the same `seed` sees and does the same with the same picture."""

    seed: int
    traits: Traits = field(default_factory=Traits)

    def target(self, key: str, category: str, truth: Rle) -> Target:
        """What this person takes for an animal: all that is ever known of the truth."""
        rle = jittered(truth, self.traits.agreement, self._rng(key, "target"))
        return Target(key, category, rle)

    def draw_all(
        self, image: str, targets: Sequence[Target], hand: Hand | None = None
    ) -> list[Step]:
        """Label an image from scratch; with a click tool where there is one."""
        first = self._opened(image, len(targets))
        look = _Look(self.traits, Screen(1), (), hand)
        made = (self._new(look, target, self._rng(target.key, "review")) for target in targets)
        return [first, *(self._timed(step, step.key or "") for step in made)]

    def review(
        self,
        image: str,
        targets: Sequence[Target],
        shown: Sequence[Shown],
        highlights: Sequence[Rle],
        long_side: int,
        hand: Hand | None = None,
    ) -> list[Step]:
        """Accept, repair or redraw what is proposed, and draw what is missing.

        Args:
            image: names the image.
            highlights: review regions that the person is led to, one glance each.
            long_side: of the image, pixels.
            hand: the click tool; None = there is none.
        """
        look = _Look(self.traits, Screen(long_side), highlights, hand)
        pairs = _pairs(targets, shown)
        extra = [one for k, one in enumerate(shown) if k not in pairs.values()]
        glances = _glances(targets, highlights)
        steps = [self._opened(image, len(targets) + len(extra))]
        for number, target in enumerate(targets):
            rng = self._rng(target.key, "review")
            place = pairs.get(number)
            if place is None:
                step = self._missed(look, target, rng)
            else:
                step = self._judged(look, target, shown[place], rng)
            looked = (Action("glance"),) * glances.count(number)
            actions = (*looked, *step.actions)
            steps.append(self._timed(Step(step.key, actions, step.label), target.key))
        steps += [self._timed(self._false(look, one, image), one.id) for one in extra]
        idle = (Action("glance"),) * glances.count(None)
        return [*steps, self._timed(Step(None, idle, None), f"{image}/idle")] if idle else steps

    # --- one animal -------------------------------------------------------------------------------

    def _drawn(self, target: Target) -> Step:
        parts = outlined(target.rle, self.traits.outline)
        actions = (Action("think"), Action("outline", vertices_for(parts)))
        return Step(target.key, actions, Label(None, target.category, parts))

    def _missed(self, look: _Look, target: Target, rng: np.random.Generator) -> Step:
        """An animal that is not proposed."""
        seen = look.sees(target.rle, target.rle, rng)
        return self._new(look, target, rng) if seen else Step(target.key, (), None)

    def _new(self, look: _Look, target: Target, rng: np.random.Generator) -> Step:
        """An animal with nothing on it yet: drawn, or clicked at where there is a click tool."""
        drawn = self._drawn(target)
        if look.hand is None:
            return drawn
        actions, parts = self._mended(look, target, None, rng, STANDARD.seconds(drawn.actions))
        if parts is None:
            return Step(target.key, (*actions, *drawn.actions), drawn.label)
        return Step(target.key, tuple(actions), Label(None, target.category, parts))

    def _false(self, look: _Look, shown: Shown, image: str) -> Step:
        """A proposal where there is no animal: kept when nobody sees that."""
        rng = self._rng(f"{image}/{area_of_rle(shown.rle)}", "false alarm")
        biased = rng.random() < self.traits.bias
        rejected = look.sees(shown.rle, shown.rle, rng) and not biased
        kept = None if rejected else Label(shown.id, shown.category, shown.parts)
        return Step(None, (Action("accept"),), kept)

    def _judged(self, look: _Look, target: Target, shown: Shown, rng: np.random.Generator) -> Step:
        """A proposal for an animal: accepted, repaired, or rejected and drawn anew."""
        biased = rng.random() < self.traits.bias
        believed = rle_iou(shown.rle, target.rle) + rng.normal(0, self.traits.doubt)
        kept = Label(shown.id, target.category, shown.parts)
        named = (Action("accept"),) * (2 if shown.category != target.category else 1)
        if biased or believed >= self.traits.accepts:
            return Step(target.key, named, kept)
        if rle_iou(shown.rle, target.rle) < self.traits.hopeless:
            new = self._new(look, target, rng)
            return Step(target.key, (*named, *new.actions), new.label)
        drawn = self._drawn(target)
        most = STANDARD.seconds(drawn.actions)
        actions, parts = self._mended(look, target, shown.rle, rng, most)
        if parts is None:
            return Step(target.key, (*named, *actions, *drawn.actions), drawn.label)
        touched = any(action.kind != "think" for action in actions)
        label = Label(shown.id, target.category, parts) if touched else kept
        return Step(target.key, (*named, *actions), label)

    def _mended(
        self, look: _Look, target: Target, shown: Rle | None, rng: np.random.Generator, most: float
    ) -> tuple[list[Action], Parts | None]:
        """Click where there is a click tool, then repair what is left; see `_repaired`.

        Args:
            shown: the outline there is; None = nothing yet.
        """
        if look.hand is None:
            assert shown is not None
            return self._repaired(look, target, shown, rng, most)
        height, width = target.rle["size"]
        window, wanted = (0, 0, width, height), mask_of_rle(target.rle)
        before = np.zeros_like(wanted) if shown is None else mask_of_rle(shown)
        made, mask, good = look.hand.click(
            before,
            wanted,
            lambda error, animal: look.notices(error, window, animal, rng),
            lambda right: bool(right + rng.normal(0, self.traits.doubt) >= self.traits.accepts),
            rng,
        )
        if good:
            return made, parts_of_mask(mask)
        if iou(mask, wanted) < self.traits.hopeless:
            return made, None
        actions, parts = self._repaired(look, target, rle_of_mask(mask), rng, most)
        return [*made, *actions], parts

    def _repaired(
        self, look: _Look, target: Target, shown: Rle, rng: np.random.Generator, most: float
    ) -> tuple[list[Action], Parts | None]:
        """Repair the errors that are seen, largest first, until the label looks good enough.

        Who has repaired something and still finds it bad looks again; who sees nothing wrong any
        more is content.

        Args:
            most: seconds from which on drawing anew is quicker than what a look shows to do.

        Returns:
            What was done, and the outline; None where it is drawn anew after all.
        """
        window = around([target.rle, shown])
        mask, wanted = crop_of_rle(shown, window), crop_of_rle(target.rle, window)
        made: list[Action] = []
        while True:
            planned: list[Action] = []
            good = False
            for repair in self._seen_repairs(look, mask, wanted, window, rng):
                mask = repair.mask
                planned += repair.actions
                if STANDARD.seconds(planned) > most or not mask.any():
                    return made, None
                believed = iou(mask, wanted) + rng.normal(0, self.traits.doubt)
                if good := believed >= self.traits.accepts:
                    break
            made += planned
            if good or not planned:
                return made, parts_of_mask(mask, *window[:2])
            made.append(Action("think"))

    def _seen_repairs(
        self, look: _Look, mask: Mask, wanted: Mask, window: Window, rng: np.random.Generator
    ) -> Iterator[Repair]:
        """Of the errors seen at one look, each a repair of what the one before has left."""
        seen = [e for e in errors(mask, wanted) if look.notices(e, window, wanted, rng)]
        for error in seen[:MOST_REPAIRS]:
            lit = look.is_lit(error.mask, window, wanted)
            repair = chosen(mask, wanted, error, lit, look.screen, rng)
            if repair is not None:
                mask = repair.mask
                yield repair

    # --- chance -----------------------------------------------------------------------------------

    def _opened(self, image: str, animals: int) -> Step:
        actions = (Action("open"), Action("scan", animals)) if animals else (Action("open"),)
        return self._timed(Step(None, actions, None), image)

    def _timed(self, step: Step, key: str) -> Step:
        """The step with the times this person really takes."""
        return Step(step.key, noisy(step.actions, self._rng(key, "times")), step.label)

    def _rng(self, key: str, purpose: str) -> np.random.Generator:
        """Chance of its own for each animal, so that two arms meet the same person."""
        return np.random.default_rng([self.seed, zlib.crc32(f"{purpose}/{key}".encode())])


@dataclass(frozen=True)
class _Look:
    """What can be seen on one image."""

    traits: Traits
    screen: Screen
    highlights: Sequence[Rle]
    hand: Hand | None = None

    @cached_property
    def _all(self) -> Rle:
        return rle_union(self.highlights)

    def sees(self, place: Rle, animal: Rle, rng: np.random.Generator) -> bool:
        """Whether an error that fills `place` is seen; `rng` is asked in any case."""
        lucky = rng.random() < self.traits.notice
        if self.highlights:
            lit = area_of_rle(rle_intersection([place, self._all]))
            if self._is_clear(lit, area_of_rle(place), area_of_rle(animal)):
                return True
        return bool(lucky)

    def notices(self, error: Error, window: Window, animal: Mask, rng: np.random.Generator) -> bool:
        """Whether an error of an outline is seen; `rng` is asked in any case."""
        lucky = rng.random() < self.traits.notice
        large = error.area >= self.traits.least * np.count_nonzero(animal)
        return self.is_lit(error.mask, window, animal) or bool(lucky and large)

    def is_lit(self, place: Mask, window: Window, animal: Mask) -> bool:
        """Whether highlights show an error: most of it, or a part that is no speck."""
        if not self.highlights:
            return False
        lit = int(np.count_nonzero(place & crop_of_rle(self._all, window)))
        return self._is_clear(lit, int(np.count_nonzero(place)), int(np.count_nonzero(animal)))

    def _is_clear(self, lit: int, place: int, animal: int) -> bool:
        return lit > 0 and (2 * lit >= place or lit >= max(1.0, self.traits.least * animal))


def _pairs(targets: Sequence[Target], shown: Sequence[Shown]) -> dict[int, int]:
    """Place of a target -> place of the proposal that is taken for it, best overlap first."""
    overlaps = sorted(
        (
            (rle_iou(target.rle, one.rle), a, b)
            for a, target in enumerate(targets)
            for b, one in enumerate(shown)
        ),
        key=lambda row: (-row[0], row[1], row[2]),
    )
    pairs: dict[int, int] = {}
    for overlap, a, b in overlaps:
        if overlap >= SAME and a not in pairs and b not in pairs.values():
            pairs[a] = b
    return pairs


def _glances(targets: Sequence[Target], highlights: Sequence[Rle]) -> list[int | None]:
    """For every highlight the target that fills most of it, None where there is none."""
    return [_most_of([target.rle for target in targets], highlight) for highlight in highlights]


def _most_of(animals: Sequence[Rle], highlight: Rle) -> int | None:
    areas = [area_of_rle(rle_intersection([animal, highlight])) for animal in animals]
    largest = int(np.argmax(areas)) if areas else 0
    return largest if areas and areas[largest] else None


def region_rles(regions: Sequence[Parts], height: int, width: int) -> list[Rle]:
    """The rasters of review regions, those without a pixel left out."""
    rasters = (rle_of_parts(parts, height, width) for parts in regions)
    return [raster for raster in rasters if area_of_rle(raster)]
