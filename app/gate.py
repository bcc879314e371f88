"""The gate: a version is promoted only if it is not worse than what proposes so far.

That is the promoted version, before the first one the instant model. Both propose on the same
validation images, and the difference of their IoU is looked at in a paired bootstrap. Where nothing
was set aside for validation, images that were verified since either version learned are a weaker
witness: their labels began as the promoted version's proposals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from app import scores, settings, validation_set
from app.meter import Prequential
from app.scores import Entrant, ImageScore, Truth
from app.settings import Settings
from data_io.errors import DataError
from data_io.store import Store

if TYPE_CHECKING:  # torch takes seconds to load, and most of the program does without
    from model.evaluate import Predicts

FEW = 5  # fewer images (or groups) than this cannot be drawn again in a way that tells anything
DRAWS = 4000
MOST = 40  # validation images that are scored; a person's own split may have thousands
FRESH = 20  # newest pre-labels that are looked at
PROBES = 6  # images that show whether a version finds anything, where there is nothing better
Check = Callable[[], None]
INSTANT = "the instant model"
VALIDATION = "validation IoU"


@dataclass(frozen=True)
class Pair:
    """IoU of the new and of the old version on one image, both in [0, 1]."""

    image: str
    name: str
    group: str
    new: float
    old: float


@dataclass(frozen=True)
class Difference:
    """Mean IoU of two versions on the same images.

    Attributes:
        new, old: the means.
        low, high: ends of the interval of the difference new - old.
        images: how many there are. groups: likewise, 0 where images were drawn and not groups.
    """

    new: float
    old: float
    low: float
    high: float
    images: int
    groups: int

    @property
    def mean(self) -> float:
        """How much better the new version is."""
        return self.new - self.old

    @property
    def says_little(self) -> bool:
        """Too few images for an interval that means anything."""
        return self.images < FEW


@dataclass(frozen=True)
class Verdict:
    """What the gate decided, in words, and on what: plain JSON values for a version's metrics."""

    promoted: bool
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"promoted": self.promoted, "why": self.why, **self.evidence}


def compare(pairs: Sequence[Pair], level: float, seed: int = 0) -> Difference:
    """Paired percentile bootstrap of the mean difference (Efron and Tibshirani 1993, chapter 13).

    Whole groups are drawn where `FEW` or more have images, since frames of one camera are no
    independent witnesses; else images.

    Args:
        pairs: at least one. level: probability of the interval, below 1.
    """
    new, old = (np.array([getattr(one, key) for one in pairs]) for key in ("new", "old"))
    _, groups = np.unique([one.group for one in pairs], return_inverse=True)
    several = int(groups.max()) + 1 >= FEW
    units = groups if several else np.arange(len(pairs))
    sums, sizes = np.bincount(units, new - old), np.bincount(units)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    found = len(sums) if several else 0
    ends = float(low), float(high)
    return Difference(float(new.mean()), float(old.mean()), *ends, len(pairs), found)


def judge(
    store: Store,
    new: Entrant,
    ahead: Entrant | None,
    result: Mapping[str, Any],
    prequential: Sequence[Prequential] = (),
    check: Check = lambda: None,
    instant: Callable[[], Predicts | None] = lambda: None,
) -> Verdict:
    """Whether a freshly trained version is promoted, and why.

    Args:
        store: the project; nothing in it is changed.
        new: the version. ahead: the promoted one, None for none.
        result: what the trainer told.
        prequential: pre-labels that became verified images, oldest first.
        check: called between images; raises to end early.
        instant: gives the model that proposes while no version is promoted, where there is one.
    """
    told = scores.told_fault(result)
    if told:
        return Verdict(False, f"kept aside: {told}", _against(ahead))
    cases = _Cases.of(store, new, ahead, prequential)
    try:
        found = scores.measure(scores.open_version(store, new), cases.all, check)
    except DataError as error:
        return Verdict(False, f"kept aside: {error.why}", _against(ahead))
    kept = {"images": _kept(found, cases.validation), **_against(ahead)}
    fault = scores.fault(list(found.values()))
    if fault:
        return Verdict(False, f"kept aside: {fault}", kept)
    if cases.single and not kept["images"]:
        return Verdict(False, f"kept aside: {SINGLE}", kept)
    if ahead is None:
        return _as_first(store, instant(), cases, found, kept, check)
    try:
        before = scores.measure(scores.open_version(store, ahead), cases.validation, check)
    except DataError as error:
        return Verdict(True, f"promoted: {ahead.id} cannot be compared with: {error.why}", kept)
    return _compared(store, ahead, cases, found, before, kept)


SINGLE = (
    "it learned from one image only and no other labeled image can tell whether that was enough;"
    " label another one and train again"
)
BY_HEART = (
    "that it learned by heart cannot tell whether it does better than the instant model on others;"
    " label more and train again, or label validation images"
)
UNCHECKED = "promoted without a check: the project has no validation images that are verified"


@dataclass(frozen=True, eq=False)
class _Cases:
    """The images a version is tried on."""

    validation: list[Truth]
    fresh: list[Truth]
    probes: list[Truth]
    earlier: dict[str, float]  # IoU of the promoted version's pre-labels
    single: bool  # the version learned from one image

    @property
    def all(self) -> list[Truth]:
        return [*self.validation, *self.fresh, *self.probes]

    @classmethod
    def of(
        cls, store: Store, new: Entrant, ahead: Entrant | None, records: Sequence[Prequential]
    ) -> _Cases:
        taught = scores.taught(new.snapshot)
        before = scores.taught(ahead.snapshot) if ahead else None
        known = (taught or frozenset()) | (before or frozenset())
        judges = [one for one in validation_set.standing(store).judges if one.id not in known]
        validation = scores.truths(store, (one.id for one in validation_set.spread(judges, MOST)))
        earlier = _earlier(store, ahead, records, known)
        probes: list[Truth] = []
        if not validation:
            probes = scores.truths(store, _learned(store, taught or frozenset()))
        fresh = scores.truths(store, earlier)
        return cls(validation, fresh, probes, earlier, taught is not None and len(taught) == 1)


def _earlier(
    store: Store, ahead: Entrant | None, records: Sequence[Prequential], known: frozenset[str]
) -> dict[str, float]:
    """Image -> IoU of the promoted version's pre-label, for images that taught neither version."""
    states = store.image_states()
    found = {
        one.image: one.iou
        for one in records
        if ahead is not None and one.version == ahead.id and one.image not in known
    }
    ours = [
        image
        for image in found
        if image in states
        and states[image].verified == "whole"
        and states[image].split in (None, "train")
        and not states[image].excluded
    ]
    return {image: found[image] for image in ours[-FRESH:]}


def _learned(store: Store, taught: frozenset[str]) -> list[str]:
    """A few images verified whole that a version learned from, spread over the groups."""
    states = store.image_states()
    whole = [states[id] for id in taught if id in states and states[id].verified == "whole"]
    return [one.id for one in validation_set.spread(validation_set.ordered(whole), PROBES)]


def _as_first(
    store: Store,
    rival: Predicts | None,
    cases: _Cases,
    found: Mapping[str, ImageScore],
    kept: Mapping[str, Any],
    check: Check,
) -> Verdict:
    """Whether the first version takes the place of the instant model.

    Without validation images both are tried on what both learned from. A network fits those better
    than a head on frozen features does, and better than it does others: a draw is a loss there, and
    few images it knows by heart.
    """
    shared = cases.validation or cases.probes
    before = scores.measure(rival, shared, check) if rival and shared else {}
    pairs = [_pair(found[id], one.iou) for id, one in before.items() if id in found]
    if not pairs:
        return Verdict(True, _first(found, cases.validation), kept)
    if not cases.validation and len(pairs) < FEW:
        return Verdict(False, f"kept aside: {_images(len(pairs))} {BY_HEART}", kept)
    chosen = settings.load(store.project)
    made = compare(pairs, chosen.level)
    least = -chosen.worse if cases.validation else chosen.worse
    good = _gains(made, least)
    kind = VALIDATION if cases.validation else "IoU"
    words = [_figures(made, kind, INSTANT, chosen.level, least), _counted(found, before, pairs)]
    words += [] if cases.validation else ["on images that both learned from, for want of others"]
    words += [] if good else ["train longer, or label more images first"]
    why = f"{'promoted' if good else 'kept aside'}: {'; '.join(words)}"
    return Verdict(good, why, {**kept, "level": chosen.level, "difference": vars(made)})


def _gains(made: Difference, least: float) -> bool:
    """Whether the new version gains so much; below 0: loses no more."""
    return (made.mean if made.says_little else made.low) >= least


def _compared(
    store: Store,
    ahead: Entrant,
    cases: _Cases,
    found: Mapping[str, ImageScore],
    before: Mapping[str, ImageScore],
    kept: Mapping[str, Any],
) -> Verdict:
    chosen = settings.load(store.project)
    known = [case.record.id for case in cases.validation]
    pairs = [_pair(found[id], before[id].iou) for id in known if id in found and id in before]
    fresh = [_pair(found[id], iou) for id, iou in cases.earlier.items() if id in found]
    evidence = {**kept, "against_images": _kept(before, cases.validation), "level": chosen.level}
    second = compare(fresh, chosen.level) if fresh else None
    if second is not None:
        evidence["fresh"] = vars(second)
    if not pairs:
        return _by_fresh(second, chosen, ahead, evidence)
    made = compare(pairs, chosen.level)
    good = _gains(made, -chosen.worse)
    figures = _figures(made, VALIDATION, ahead.id, chosen.level, -chosen.worse)
    words = [figures, _counted(found, before, pairs)]
    words += [] if good else [_worst(pairs)]
    words += [] if second is None else [f"a second opinion: {_opinion(second, ahead)}"]
    why = f"{'promoted' if good else 'kept aside'}: {'; '.join(words)}"
    return Verdict(good, why, {**evidence, "difference": vars(made)})


def _by_fresh(
    second: Difference | None, chosen: Settings, ahead: Entrant, evidence: Mapping[str, Any]
) -> Verdict:
    """Labels that began as the promoted version's proposals flatter it: only clear losses count."""
    if second is None:
        return Verdict(True, UNCHECKED, evidence)
    opinion = f"{_opinion(second, ahead)}, {_interval(second, chosen.level)}"
    if not second.says_little and second.high < -chosen.worse:
        return Verdict(False, f"kept aside: it is clearly worse {opinion}", evidence)
    return Verdict(True, f"{UNCHECKED}; {opinion}, which is no clear loss", evidence)


def _first(found: Mapping[str, ImageScore], validation: Sequence[Truth]) -> str:
    known = [found[case.record.id].iou for case in validation if case.record.id in found]
    if not known:
        return f"{UNCHECKED}, and no version was promoted before"
    return (
        f"promoted: the first version, validation IoU {np.mean(known):.3f} on {_images(len(known))}"
    )


def _figures(made: Difference, kind: str, old: str, level: float, least: float) -> str:
    where = _images(made.images) + (f" in {made.groups} groups" if made.groups else "")
    head = f"{kind} {made.new:.3f} against {made.old:.3f} of {old} on {where}"
    interval, much = _interval(made, level), f"{abs(least):.3f}"
    if made.says_little:
        return (
            f"{head}; so few images say little ({interval}), so the mean alone decides, which may"
            f" fall by {much}"
        )
    good = _gains(made, least)
    if least < 0:
        end = f"{'is not' if good else 'may be'} worse by more than the {much} allowed"
    else:
        end = f"{'is' if good else 'may not be'} better by the {much} asked for"
    return f"{head}, {interval}, {end}"


def _interval(made: Difference, level: float) -> str:
    return (
        f"a difference of {made.mean:+.3f} with the {100 * level:g} % interval"
        f" {made.low:+.3f} to {made.high:+.3f}"
    )


def _opinion(made: Difference, ahead: Entrant) -> str:
    return (
        f"on {_images(made.images)} verified since both learned, IoU {made.new:.3f} against"
        f" {made.old:.3f} of {ahead.id}, whose proposals their labels began as"
    )


def _counted(
    found: Mapping[str, ImageScore], before: Mapping[str, ImageScore], pairs: Sequence[Pair]
) -> str:
    new, old = (
        np.mean([abs(kind[one.image].animals - kind[one.image].truth) for one in pairs])
        for kind in (found, before)
    )
    return f"animals miscounted by {new:.1f} an image against {old:.1f}"


def _worst(pairs: Sequence[Pair]) -> str:
    worst = min(pairs, key=lambda one: one.new - one.old)
    return f"it loses most on {worst.name} ({worst.old:.3f} to {worst.new:.3f})"


def _pair(score: ImageScore, old: float) -> Pair:
    return Pair(score.image, score.name, score.group, score.iou, old)


def _kept(found: Mapping[str, ImageScore], cases: Sequence[Truth]) -> dict[str, Any]:
    known = [case.record.id for case in cases if case.record.id in found]
    return {id: found[id].as_dict() for id in known}


def _against(ahead: Entrant | None) -> dict[str, Any]:
    return {"against": ahead.id if ahead else None}


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
