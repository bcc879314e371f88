"""The instant model: linear heads on frozen features, refitted at every save.

From the first labeled animal until a trained version takes over, a multinomial logistic regression
on `model.features` proposes, and `model.instant_animals` tells its animals apart. Both losses are
convex, so the same labels always give the same model, and each image's part of the curvature is
kept: a save changes one of the summands.

What a person vouches for teaches as it is. In an image that nobody vouches for, a rim around the
drawn animals is presumed to be background; what looks like an animal there after all, a neighbor
not drawn yet, is left out in a second look. Ground further away says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.geometry import mask_of_parts
from data_io.types import Instance, Parts
from model import instances, instant_animals, uncertainty
from model.features import FeatureMaps
from model.instances import ExtractionConfig
from model.instant_animals import AnimalHead, Interior, interior
from model.prediction import Prediction

LEAST_BELIEF = 0.65  # mean probability of a proposed animal; below it most are none
UNKNOWN, PRESUMED = 255, 254  # of a map of what is known: nothing; background, but nobody says so

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Known = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class InstantConfig:
    """How the head learns; chosen on label draws from 10 on (`benchmarks/instant.py`)."""

    cells: int = 1000  # of one image that teach, at most
    margin: float = 2.0  # pixels around a drawn outline that are left out
    rim: float = 0.5  # width of the presumed background, in sizes (root of the area) of an animal
    penalty: float = 1e-2  # of squared weights, on features of unit spread; with many animals
    wary: float = 0.1  # the most of it, over the number of animals above 10
    shy: float = 1.0  # the same while no ground at all is vouched for
    raised: float = 1.5  # how many times what their area gives them animals weigh, up to half
    first: float = 0.45  # of the weight that animals have at least, .01 less with each of them
    looks: int = 3  # at presumed ground that may be an animal
    steps: int = 100  # of a fit, at most
    tolerance: float = 1e-3  # largest change of a weight at which it ends


def known_classes(
    drawn: Sequence[Instance],
    verified: Parts,
    classes: Mapping[str, int],
    height: int,
    width: int,
    config: InstantConfig | None = None,
) -> Known:
    """What a revision says about each pixel.

    Args:
        drawn: instances in drawing order; those of a category without a class are unknown ground.
        verified: the area a person vouches for.
        classes: category id -> class, from 1.

    Returns:
        (height, width) uint8: the class, 0 = background, `PRESUMED` background in the rim of drawn
        animals, `UNKNOWN` elsewhere.
    """
    config = config or InstantConfig()
    known = np.full((height, width), UNKNOWN, np.uint8)
    animals = np.zeros((height, width), np.uint8)
    for one in drawn:
        animals[mask_of_parts(one.parts, height, width)] = classes.get(one.category, UNKNOWN)
    inside = animals > 0
    if inside.any():
        away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
        size = float(np.sqrt(inside.sum() / len(drawn)))
        known[(away > config.margin) & (away <= config.margin + config.rim * size)] = PRESUMED
        known[inside] = animals[inside]
    if verified:
        known[mask_of_parts(verified, height, width) & ~inside] = 0
    return known


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one image teaches.

    Attributes:
        features: (n, K) float32. classes: (n,) int64. weights: (n,) float32, sum = 1.
        presumed: (n,) bool, background that nobody vouches for.
        inside: what its animals teach about telling animals apart; None without any.
    """

    features: Floats
    classes: NDArray[np.int64]
    weights: Floats
    presumed: NDArray[np.bool_]
    inside: Interior | None = None

    @cached_property
    def moments(self) -> tuple[Doubles, Doubles]:
        """Weighted sums of features (2, K) and of their products (2, K, K), ground and animals."""
        sums, products = [], []
        for kind in (self.classes == 0, self.classes > 0):
            features = self.features[kind]
            weighted = features * self.weights[kind, None]
            sums.append(weighted.sum(0, dtype=np.float64))
            products.append((weighted.T @ features).astype(np.float64))
        return np.stack(sums), np.stack(products)

    @cached_property
    def of_animals(self) -> float:
        """The weight that animals have, in [0, 1]."""
        return float(self.weights[self.classes > 0].sum())

    @property
    def vouched(self) -> bool:
        """Whether any of its ground is known to be background."""
        return bool(((self.classes == 0) & ~self.presumed).any())


def lesson(
    maps: FeatureMaps,
    known: Known,
    drawn: Sequence[Instance] = (),
    seed: int = 0,
    config: InstantConfig | None = None,
) -> Lesson | None:
    """Draw the cells of an image that teach, up to half of them from animals.

    Args:
        maps: the image's features. known: (height, width) of `known_classes`.
        drawn: the animals of the image.

    Returns:
        Animals and vouched ground weigh as their areas do, presumed ground together as much as the
        animals. None where nothing is known.
    """
    config = config or InstantConfig()
    cells = _cells(maps, known)
    rows, columns = np.nonzero(cells != UNKNOWN)
    if not rows.size:
        return None
    classes = cells[rows, columns]
    random = np.random.default_rng(seed)
    kinds = [np.flatnonzero(part) for part in _kinds(classes)]
    index, weights = _drawn(kinds, config.cells, random)
    presumed = classes[index] == PRESUMED
    taught = np.where(presumed, 0, classes[index]).astype(np.int64)
    features = maps.at(rows[index], columns[index])
    balanced = _balanced(weights, taught, presumed)
    return Lesson(features, taught, balanced, presumed, interior(maps, drawn, seed))


def _kinds(classes: Known) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells are animals, and which are ground."""
    ground = (classes == 0) | (classes == PRESUMED)
    return ~ground, ground


def _drawn(
    kinds: Sequence[NDArray[np.intp]], most: int, random: np.random.Generator
) -> tuple[NDArray[np.intp], Doubles]:
    """Positions drawn evenly from each kind, and how many cells each stands for."""
    few = min(len(kind) for kind in kinds)
    share = [min(len(kind), max(most // 2, most - few)) for kind in kinds]
    picked = [
        random.choice(kind, n, replace=False) for kind, n in zip(kinds, share, strict=True) if n
    ]
    counts = [np.full(n, len(kind) / n) for kind, n in zip(kinds, share, strict=True) if n]
    return np.concatenate(picked), np.concatenate(counts)


def _balanced(weights: Doubles | Floats, classes: NDArray[np.int64], presumed: Mask) -> Floats:
    """Weights with sum 1, of which presumed ground has no more than the animals."""
    balanced = weights.astype(np.float64)
    animals, guessed = balanced[classes > 0].sum(), balanced[presumed].sum()
    if animals and guessed:
        balanced[presumed] *= animals / guessed
    return np.asarray(balanced / balanced.sum(), np.float32)


def _cells(maps: FeatureMaps, known: Known) -> Known:
    """`known` at the cells' middles; the padding is unknown."""
    h, w = maps.shown
    cells = np.full(maps.grid, UNKNOWN, np.uint8)
    if h and w:
        cells[:h, :w] = cv2.resize(known, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
    return cells


@dataclass(frozen=True, eq=False)
class Head:
    """Logits = features @ weight + bias.

    Attributes:
        weight: (K, C) float32. bias: (C,) float32.
        animals: tells animals of one category apart; None = their shape does.
    """

    weight: Floats
    bias: Floats
    animals: AnimalHead | None = None


def fit(
    lessons: Sequence[Lesson],
    count: int,
    start: Head | None = None,
    config: InstantConfig | None = None,
) -> Head:
    """The head that all lessons teach, each image counting the same.

    Args:
        lessons: at least one.
        count: C, background included.
        start: an earlier head to begin at.

    Returns:
        The head; equal lessons give equal heads up to `config.tolerance`.
    """
    config = config or InstantConfig()
    care = _care(lessons, config)
    head = _regression(lessons, count, care, start, config)
    for _ in range(config.looks if any(one.presumed.any() for one in lessons) else 0):
        seen = [_without_animals(one, head) for one in lessons]
        head = _regression(seen, count, care, head, config)
    insides = [one.inside for one in lessons if one.inside is not None]
    return replace(head, animals=instant_animals.fit(insides))


class _Care(NamedTuple):
    """How far a fit trusts so few animals."""

    penalty: float
    first: float  # of the weight that animals have at least


def _care(lessons: Sequence[Lesson], config: InstantConfig) -> _Care:
    """One image's ground is no other camera's, and by area a single animal hardly counts."""
    animals = sum(one.inside.animals for one in lessons if one.inside is not None)
    first = max(0.0, config.first - 0.01 * animals)
    if not any(one.vouched for one in lessons):
        return _Care(config.shy, first)
    return _Care(max(config.penalty, config.wary * min(1.0, 10 / max(animals, 1))), first)


def _factors(lessons: Sequence[Lesson], first: float, raised: float) -> Doubles:
    """What the weights of ground and of animals are multiplied by: together they stay 1."""
    has = sum(one.of_animals for one in lessons) / len(lessons)
    share = max(first, min(0.5, raised * has))
    if not 0 < has < share:
        return np.ones(2)
    return np.array([(1 - share) / (1 - has), share / has])


def _without_animals(one: Lesson, head: Head) -> Lesson:
    """A lesson without the presumed ground that the head takes for animals."""
    if not one.presumed.any():
        return one
    chance = _softmax(one.features[one.presumed] @ head.weight + head.bias)
    keep = np.ones(one.classes.size, np.bool_)
    keep[one.presumed] = chance[:, 0] > 0.5
    weights, classes, presumed = one.weights[keep], one.classes[keep], one.presumed[keep]
    balanced = _balanced(weights, classes, presumed)
    return Lesson(one.features[keep], classes, balanced, presumed)


def _regression(
    lessons: Sequence[Lesson],
    count: int,
    care: _Care,
    start: Head | None,
    config: InstantConfig,
) -> Head:
    """Penalized multinomial logistic regression.

    Newton-like steps with one bound on the curvature for all of them (Boehning 1992, Annals of the
    Institute of Statistical Mathematics 44): one inverse a fit, and with the momentum of Nesterov
    some dozen steps.
    """
    factors, penalty = _factors(lessons, care.first, config.raised), care.penalty
    middle, spread, inverse = _curvature(lessons, factors, penalty)
    features = np.concatenate([one.features for one in lessons])
    features = (features - middle) / spread
    classes = np.concatenate([one.classes for one in lessons])
    weights = np.concatenate([one.weights for one in lessons]) / np.float32(len(lessons))
    weights *= factors.astype(np.float32)[np.minimum(classes, 1)]
    truth = np.eye(count, dtype=np.float32)[classes]
    if start is None or start.weight.shape != (features.shape[1], count):
        start = Head(np.zeros((features.shape[1], count), np.float32), np.zeros(count, np.float32))
    weight = start.weight * spread[:, None]
    bias = start.bias + middle @ start.weight
    ahead, ahead_bias, momentum = weight, bias, 1.0
    for _ in range(config.steps):
        chance = _softmax(features @ ahead + ahead_bias)
        error = (chance - truth) * weights[:, None]
        slope = features.T @ error + np.float32(2 * penalty) * ahead
        new, new_bias = ahead - inverse @ slope, ahead_bias - 2 * error.sum(0)
        if float((slope * (new - weight)).sum()) > 0:  # momentum that leads uphill starts anew
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        push = np.float32((momentum - 1) / following)
        ahead, ahead_bias = new + push * (new - weight), new_bias + push * (new_bias - bias)
        moved = float(np.abs(new - weight).max())
        weight, bias, momentum = new, new_bias, following
        if moved < config.tolerance:
            break
    scaled = weight / spread[:, None]
    return Head(scaled, bias - middle @ scaled)


def _curvature(
    lessons: Sequence[Lesson], factors: Doubles, penalty: float
) -> tuple[Floats, Floats, Floats]:
    """Mean (K,) and spread (K,) of the features, and the inverse (K, K) of the bound."""
    shares = factors / len(lessons)
    middle = shares @ np.sum([one.moments[0] for one in lessons], axis=0)
    products = np.tensordot(shares, np.sum([one.moments[1] for one in lessons], axis=0), 1)
    spread = np.sqrt(np.maximum(np.diag(products) - middle**2, 0)) + 1e-3
    bound = (products - np.outer(middle, middle)) / np.outer(spread, spread) / 2
    bound[np.diag_indices_from(bound)] += 2 * penalty
    inverse = np.linalg.inv(bound)
    return middle.astype(np.float32), spread.astype(np.float32), inverse.astype(np.float32)


def _softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    power = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(power / power.sum(-1, keepdims=True), np.float32)


def predict(
    maps: FeatureMaps,
    head: Head,
    categories: Sequence[str],
    version: str,
    small: float = 0.0,
) -> Prediction:
    """What the head proposes for an image.

    Args:
        categories: category ids of classes 1..C-1.
        version: id the instances carry.
        small: size (root of the area, image pixels) of the smaller animals drawn so far; what has
            less than a quarter of their area is left out. 0 = not known.
    """
    logits = maps.project(head.weight, head.bias)
    chance = _softmax(logits.transpose(1, 2, 0)).transpose(2, 0, 1)
    fine = instant_animals.on_image(maps, chance)
    usual = ExtractionConfig()
    least = max(usual.min_area, small**2 / 4)
    config = replace(usual, min_area=least, least_belief=LEAST_BELIEF)
    size = (maps.height, maps.width)
    apart = None if head.animals is None else instant_animals.instance_maps(maps, head.animals)
    made = instances.tell_apart(fine, *size, categories, version, apart, config)
    return Prediction(fine, uncertainty.uncertainty_map(fine), made.instances)
