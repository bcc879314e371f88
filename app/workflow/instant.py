"""Learning at every save: the instant model of a project, until a trained version takes over.

It follows the store, so it does not matter which process saved. Its proposals are those of a
version whose id says what it learned from: after a restart the same labels make the same one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.queue import Queue
from app.workflow.first_looks import FirstLooks
from app.workflow.looks import Looks
from app.workflow.proposals import put_prediction, readable
from app.workflow.sharpening import IMAGES, Sharpener, Sharpening, Taught
from app.workflow.teaching import PREFIX, is_instant, teachers
from data_io.artifacts import Artifacts
from data_io.errors import DataError
from data_io.geometry import area_of_rle, rle_of_parts
from data_io.store import ImageState, Store
from data_io.types import ImageRecord, Revision
from model import instant
from model.embedding import embedding, foreground
from model.features import BACKBONE, Encoder, FeatureMaps, encoder_file
from model.instant import Head, Lesson
from model.prediction import Prediction

FRONT = 64  # places of the queue that get new proposals after every save
SHARP = 8  # the first of them, whose outlines are drawn again
SIDES = (512, 768, 1152, 1728)  # long sides images may be looked at, pixels
PORTION = 8  # images learned before the head is fitted again
LEAST = 16.0  # pixels that the smaller animals must have left
SOURCE = BACKBONE  # of the embeddings
NEWS = 0.25  # change of the chance of animals that the queue hears of
SMALL = 10  # percentile of the animals' sizes that counts as smaller


@dataclass(frozen=True)
class _Taught:
    """What an image taught, and from which of its revisions and at which size."""

    revision: int
    sizes: tuple[float, ...]  # pixels of its animals
    side: int = 0  # 0 = it has not been looked at yet
    lesson: Lesson | None = None


@dataclass(frozen=True, eq=False)
class InstantModel:
    """What the instant model knows at one moment; `predict` as that of a trained version."""

    version: str
    head: Head
    categories: tuple[str, ...]
    small: float  # pixels of the smaller animals, 0 = not known
    encoder: Encoder
    sharpener: Sharpener | None  # draws its outlines again

    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        """Propose for an image (H, W, 3) uint8 RGB."""
        maps = self.encoder.maps(image, side_for(max(image.shape[:2]), self.small))
        made = instant.predict(maps, self.head, self.categories, self.version, self.small)
        return self.sharpener(image, made) if self.sharpener else made


def side_for(longest: int, small: float) -> int:
    """The smallest size at which animals of `small` pixels can be seen in an image.

    Args:
        longest: the image's longer side, pixels. small: 0 = not known.
    """
    for side in SIDES:
        if not small or side >= longest or small * side / longest >= LEAST:
            return side
    return SIDES[-1]


class InstantLearning:
    """The instant model of one project; not thread-safe.

    Args:
        store: the project.
        threads: of the networks on the CPU.
        sharp: the refiner draws its outlines again where that helps; see `sharpening`.
    """

    def __init__(self, store: Store, threads: int | None = None, sharp: bool = True) -> None:
        self.store = store
        self._threads = threads
        self._artifacts = Artifacts(store.project)
        self._queue = Queue(store)
        self._sharpening = Sharpening(store, threads) if sharp else None
        self._encoder: Encoder | None = None
        self._taught: dict[str, _Taught] = {}
        self._categories: tuple[str, ...] = ()
        self._head: Head | None = None
        self._version = ""
        self._refused: set[str] = set()  # images that cannot be read
        self._first_looks: FirstLooks | None = None
        self._known_looks: Looks | None = None
        self._visible: dict[str, float] = {}  # chance of animals that the queue knows of

    def step(self) -> bool:
        """Learn what is new, else propose for one image; False where nothing is left to do.

        Before anybody has shown an animal there is no proposal, but a first look.

        Raises:
            DataError: the encoder cannot be had.
            StoreError: the disk is full or cannot be written.
        """
        if self.store.promoted() is not None:
            self._encoder = None  # some hundred megabytes
            return False
        states = self.store.image_states()
        if self._learn(states):
            return True
        if self._head is None:
            return self.look_first(states)
        self._first_looks = None  # its network
        sharpener = self._sharpener()
        place, record = self._next(states, self._named(sharpener))
        if record is None:
            return False
        self._propose(record, sharpener if place < SHARP else None)
        return True

    def look_first(self, states: Mapping[str, ImageState]) -> bool:
        """Take one first look; False where no more are needed, and the encoder is there.

        Raises:
            DataError, StoreError: see `step`.
        """
        if self._first_looks is None:
            self._first_looks = FirstLooks(self.store, self._queue, self._looks, self._threads)
        if self._first_looks.step(states):
            return True
        if states:
            encoder_file(self.store.project / "artifacts")  # while nobody waits for it
        return False

    def model(self) -> InstantModel | None:
        """What is known now; None before somebody has shown an animal."""
        while self._learn(self.store.image_states()):
            pass
        if self._head is None:
            return None
        sharpener = self._sharpener()
        known = self._named(sharpener), self._head, self._categories, self._small
        return InstantModel(*known, self._ready(), sharpener)

    # --- learning ---------------------------------------------------------------------------------

    def _learn(self, states: Mapping[str, ImageState]) -> bool:
        """Follow the newest revisions, a portion a call; True where they changed what is known."""
        teaching = teachers(states)
        changed = [one.id for one in teaching if self._changed(one)]
        later = set(changed[PORTION:])
        teaching = [one for one in teaching if one.id not in later]
        categories = tuple(category.id for category in self.store.categories())
        version = _version(teaching, categories)
        if version == self._version:
            return False
        if categories != self._categories:
            self._categories, self._head = categories, None
            self._taught = {
                image: _Taught(one.revision, one.sizes) for image, one in self._taught.items()
            }
        # The sizes of all come first: they decide how large an image is looked at.
        revisions = {image: self.store.revision(image) for image in changed[:PORTION]}
        for image, revision in revisions.items():
            if revision is not None:
                sizes = _sizes(self.store.image(image), revision)
                self._taught[image] = _Taught(revision.number, sizes)
        known = {one.id for one in teaching}
        self._taught = {image: one for image, one in self._taught.items() if image in known}
        for image in list(self._taught):
            self._teach(image, revisions.get(image))
        lessons = [one.lesson for one in self._taught.values() if one.lesson is not None]
        self._head = self._fitted(lessons)
        self._version = version
        return True

    def _changed(self, one: ImageState) -> bool:
        before = self._taught.get(one.id)
        return before is None or before.revision != one.revision

    def _teach(self, image: str, revision: Revision | None) -> None:
        """Make an image's lesson where it has none for the size to look at it now."""
        record, before = self.store.image(image), self._taught[image]
        side = side_for(max(record.width, record.height), self._small)
        if before.side == side:
            return
        revision = revision or self.store.revision(image)
        made = None if revision is None else self._lesson(record, revision)
        self._taught[image] = replace(before, side=side, lesson=made)

    def _lesson(self, record: ImageRecord, revision: Revision) -> Lesson | None:
        classes = {category: index for index, category in enumerate(self._categories, start=1)}
        size = (record.height, record.width)
        known = instant.known_classes(revision.instances, revision.verified, classes, *size)
        try:
            return instant.lesson(self._maps(record), known, revision.instances)
        except DataError as error:
            self._refuse(record, error)
            return None

    def _fitted(self, lessons: Sequence[Lesson]) -> Head | None:
        """The head; None while nobody has shown an animal."""
        if not any((one.classes > 0).any() for one in lessons):
            return None
        return instant.fit(lessons, len(self._categories) + 1, self._head)

    # --- proposing --------------------------------------------------------------------------------

    def _next(
        self, states: Mapping[str, ImageState], version: str
    ) -> tuple[int, ImageRecord | None]:
        """The image that most needs a proposal, and its place in the queue.

        What a person has begun without any comes first, since it is on somebody's screen. The front
        of the queue follows every save, its first places with outlines drawn again, which takes
        longer; all others get their first proposal. An image that a person has begun keeps the
        proposals it has: they must not change under the hand.

        Args:
            version: of proposals at the first places.
        """
        bare = [one for one in states.values() if one.proposal_version is None]
        begun = next((one for one in bare if one.revision and self._wants(one, ())), None)
        if begun is not None:
            return 0, self.store.image(begun.id)
        for place, item in enumerate(self._queue.ranked(FRONT)):
            one = states.get(item.image)
            fresh = {version} if place < SHARP else {version, self._version}
            kept = one is not None and one.revision and one.proposal_version
            if one is not None and self._wants(one, fresh) and not kept:
                return place, self.store.image(one.id)
        for one in bare:
            if self._wants(one, ()):
                return FRONT, self.store.image(one.id)
        return FRONT, None

    def _wants(self, one: ImageState, fresh: Collection[str]) -> bool:
        """Whether an image may get this model's proposal; those somebody asked for stay."""
        mine = one.proposal_version is None or is_instant(one.proposal_version)
        done = one.proposal_version in fresh or one.id in self._refused
        return mine and not done and not one.excluded and one.verified != "whole"

    def propose(self, record: ImageRecord) -> None:
        """Store what is known now as the proposal of an image; somebody has shown an animal."""
        self._propose(record, self._sharpener())

    def _propose(self, record: ImageRecord, sharpener: Sharpener | None) -> None:
        try:
            maps = self._maps(record)
            made = self._predicted(maps, self._named(sharpener), self._head)
            made = sharpener(readable(record), made) if sharpener else made
        except DataError as error:
            self._refuse(record, error)
            return
        put_prediction(self.store, self._named(sharpener), record, made)
        self._look(record, maps, made)

    def _predicted(self, maps: FeatureMaps, version: str, head: Head | None) -> Prediction:
        assert head is not None
        return instant.predict(maps, head, self._categories, version, self._small)

    def _named(self, sharpener: Sharpener | None) -> str:
        """The version of proposals, by what the model has learned and what draws its outlines."""
        return f"{self._version}-{sharpener.name}" if sharpener else self._version

    def _sharpener(self) -> Sharpener | None:
        """What draws outlines again, tried on the animals that were drawn last."""
        if self._sharpening is None:
            return None
        animals = sum(len(one.sizes) for one in self._taught.values())
        return self._sharpening.sharpener(self._last_taught, animals)

    def _last_taught(self) -> list[Taught]:
        """The images with animals that were labeled last, and proposals by a head without them.

        What it has learned it outlines better than what it has not. Of a single image there is no
        other head.
        """
        lessons = {image: one.lesson for image, one in self._taught.items() if one.lesson}
        shown = [image for image in lessons if self._taught[image].sizes]
        last = shown[: -min(IMAGES, max(1, len(shown) // 2)) - 1 : -1]
        head = self._fitted([one for image, one in lessons.items() if image not in last])
        return [self._as_taught(image, head or self._head) for image in last]

    def _as_taught(self, image: str, head: Head | None) -> Taught:
        assert head is not None
        record, revision = self.store.image(image), self.store.revision(image)
        return Taught(
            revision.instances if revision else (),
            partial(readable, record),
            lambda: self._predicted(self._maps(record), self._version, head).instances,
        )

    def _look(self, record: ImageRecord, maps: FeatureMaps, made: Prediction) -> None:
        """Keep what the image looks like, and whether it shows animals, for the queue."""
        visible = foreground(made.probability)
        if abs(visible - self._visible.get(record.id, -1.0)) < NEWS:
            return
        coarse = maps.levels[-1].astype(np.float32).transpose(2, 0, 1)
        vector = embedding(coarse, 1.0 - made.probability[0])
        self._looks.add(record.id, vector, visible)
        self._visible[record.id] = visible

    def _refuse(self, record: ImageRecord, error: DataError) -> None:
        logging.warning("%s", error)
        self._refused.add(record.id)

    # --- features ---------------------------------------------------------------------------------

    @property
    def _looks(self) -> Looks:
        """What the project's images look like."""
        if self._known_looks is None:
            self._known_looks = Looks(self.store, SOURCE)
        return self._known_looks

    @property
    def _small(self) -> float:
        """Pixels of the project's smaller animals, 0 = not known."""
        sizes = [size for one in self._taught.values() for size in one.sizes]
        return float(np.percentile(sizes, SMALL)) if sizes else 0.0

    def _maps(self, record: ImageRecord) -> FeatureMaps:
        """Features of an image, from the cache where they are."""
        side = side_for(max(record.width, record.height), self._small)
        name = f"{record.sha256}-{side}.npz"
        found = self._artifacts.features.find(name)
        if found is not None:
            try:
                return FeatureMaps.of_file(found)
            except DataError as error:  # cut short by a crash: it is made again
                logging.warning("%s", error)
        maps = self._ready().maps(readable(record), side)
        self._artifacts.features.put(name, maps.to_bytes())
        return maps

    def _ready(self) -> Encoder:
        if self._encoder is None:
            path = encoder_file(self.store.project / "artifacts")
            self._encoder = Encoder(path, self._threads)
        return self._encoder


def _sizes(record: ImageRecord, revision: Revision) -> tuple[float, ...]:
    """Root of the area of each animal, image pixels."""
    size = (record.height, record.width)
    areas = (area_of_rle(rle_of_parts(one.parts, *size)) for one in revision.instances)
    return tuple(float(area) ** 0.5 for area in areas if area)


def _version(teaching: Sequence[ImageState], categories: Sequence[str]) -> str:
    """An id that equal labels give again."""
    told = [sorted((one.id, one.revision) for one in teaching), list(categories)]
    return PREFIX + hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
