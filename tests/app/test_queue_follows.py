"""Whatever happens to a project, the quick queue is the one that is ranked from nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import PurePath

import numpy as np
import pytest

from app.queue import Queue
from app.workflow.views import status_of
from data_io.geometry import full_image
from data_io.store import NewImage, Store
from data_io.types import Instance, ModelVersion, Proposal, ReviewRegion
from model import acquisition
from model.acquisition import Adaptive, Candidate

SIZE = {"width": 16, "height": 12}
NOW = datetime.now(timezone.utc)
WHOLE, HALF = full_image(12, 16), full_image(6, 16)


def from_nothing(store):
    """(image, name, score, why, regions, status) of the queue, by the rule over all images."""
    store = Store(store.project, store._engine)  # one that remembers nothing
    states = {record.id: store.image_states()[record.id] for record in store.images()}
    sequence = {one.id: n for n, one in enumerate(sorted(store.images(), key=lambda i: i.path))}
    rounds = sum(version.state != "aside" for version in store.versions())
    names, proposals = store.category_names(), store.proposals()
    pool = []
    for one in states.values():
        proposed = proposals[one.id].instances if one.id in proposals else ()
        pool.append(
            Candidate(
                one.id,
                one.group,
                one.score,
                sequence[one.id],
                reviewed=one.verified == "whole",
                regions=one.open_regions,
                categories=tuple({instance.category for instance in proposed}),
                cluster=one.cluster,
                foreground=one.foreground,
                number=one.number,
            )
        )
    picks = Adaptive(rounds).rank(pool)
    held = {category for one in pool for category in one.categories}
    for id in held if len(held) > 1 else ():
        picks = [
            replace(p, why=p.why.replace(f"turn of {id}", f"turn of {names[id]}")) for p in picks
        ]
    return [
        (
            pick.image,
            PurePath(one.path).name,
            pick.score,
            pick.why,
            one.open_regions,
            status_of(one.revision, one.verified),
        )
        for pick in picks
        for one in [states[pick.image]]
    ]


@dataclass
class Life:
    """Random changes of a project."""

    dice: random.Random
    writers: list[Store]
    images: int = 0
    made: dict[str, int] = field(default_factory=dict)

    def step(self) -> None:
        name = self.dice.choices(
            ["add", "propose", "save", "answer", "exclude", "replace", "embed", "promote"],
            [1, 5, 5, 3, 2, 1, 3, 0.3],
        )[0]
        getattr(self, name)(self.dice.choice(self.writers))

    def add(self, store: Store) -> None:
        new = []
        for _ in range(self.dice.randint(1, 6)):
            self.images += 1
            path = f"images/{self.dice.random():.6f}.png"
            group = self.dice.choice("abc")
            new.append(NewImage(path, **SIZE, sha256=str(self.images), group=group))
        store.add_images(new)

    def any(self, store: Store) -> str:
        return self.dice.choice(store.images(include_excluded=True)).id

    def propose(self, store: Store) -> None:
        for _ in range(self.dice.randint(1, 4)):
            image, score = self.any(store), round(self.dice.random(), self.dice.choice([1, 6]))
            square = full_image(4, 4)
            regions = [
                ReviewRegion("", image, "v1", "edge", square, (0, 0, 4, 4), 0.5, "x")
                for _ in range(self.dice.randint(0, 2))
            ]
            held = [c.id for c in store.categories() if self.dice.random() < 0.4]
            animals = tuple(Instance(f"{image}{c}", c, square, "model") for c in held)
            store.put_proposal(Proposal(image, "v1", animals, "m.png", score), regions)

    def embed(self, store: Store) -> None:
        for _ in range(self.dice.randint(1, 4)):
            foreground, cluster = self.dice.choice([None, 0.1, 0.9]), self.dice.choice([None, 0, 1])
            store.put_embedding(self.any(store), np.ones(2), foreground, cluster=cluster)

    def promote(self, store: Store) -> None:
        made = ModelVersion(str(self.dice.random()), None, "", "", {}, (), "", {}, "promoted", NOW)
        store.add_version(made)

    def save(self, store: Store) -> None:
        image = self.any(store)
        base = max(store.revision_numbers(image), default=0)
        store.save_revision(image, base, [], self.dice.choice([(), HALF, WHOLE, WHOLE]), "me")

    def answer(self, store: Store) -> None:
        image = self.any(store)
        if regions := store.regions(image):
            state = self.dice.choice(["accepted", "fixed", "skipped", "open"])
            store.answer_region(self.dice.choice(regions).id, state)

    def exclude(self, store: Store) -> None:
        one = self.dice.choice(store.images(include_excluded=True))
        if not one.excluded or all(one.path != other.path for other in store.images()):
            store.set_excluded(one.id, not one.excluded)

    def replace(self, store: Store) -> None:
        """The file of an image holds another picture now."""
        one = self.dice.choice(store.images(include_excluded=True))
        self.images += 1
        sha256 = self.dice.choice([str(self.images), one.sha256])
        store.add_images([NewImage(one.path, **SIZE, sha256=sha256, group=one.group)])


def told(items):
    return [(i.image, i.name, i.score, i.why, i.regions, i.status) for i in items]


LONG = [pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 40)]


@pytest.mark.parametrize("seed", [*range(3), *LONG])
def test_the_quick_queue_is_the_one_ranked_from_nothing(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(acquisition, "VERIFIED", 3)  # so that the rule changes now and then
    dice = random.Random(seed)
    with Store.open(tmp_path / "p") as store, Store.open(tmp_path / "p") as elsewhere:
        for name in ("cow", "calf", "bull")[: 1 + seed % 3]:
            store.add_category(name)
        life, queue = Life(dice, [store, elsewhere]), Queue(store)
        life.add(store)
        for _ in range(40):
            for _ in range(dice.randint(1, 3)):
                life.step()
            check(store, queue, dice)


def check(store, queue, dice):
    """Questions in random order and depth: an earlier one must not spoil a later one."""
    right = from_nothing(store)
    order, included = [row[0] for row in right], store.images()
    states = store.image_states()
    after = dice.choice([*order, included[0].id if included else "", "ghost", None])
    place = order.index(after) if after in order else None
    ahead = order[0:1] if place is None else order[place + 1 : place + 2]
    back = [] if place is None else order[max(place - 1, 0) : place]
    coming = [id for id in order[0 if place is None else place + 1 :] if states[id].open_regions]

    def look_ahead() -> None:
        seen = queue.outlook(after or "", 3)
        assert [one.image.id for one in seen.coming] == coming[:3]
        for one in seen.coming:
            if states[one.image.id].verified == "none":
                assert len(one.regions) == states[one.image.id].open_regions
        assert seen.images == len(included)
        assert seen.verified == len(included) - len(order) == seen.images - queue.waiting()
        assert seen.open_regions == sum(states[one.id].open_regions for one in included)

    def ranked() -> None:
        top = dice.choice([0, 1, 5, None])
        assert told(queue.ranked(top)) == right[:top]

    def step() -> None:
        assert [queue.next_image(after)] == (ahead or [None])
        assert [queue.next_image(after, -1)] == (back or [None])

    questions = [look_ahead, ranked, step]
    dice.shuffle(questions)
    for ask in questions[: dice.randint(1, 3)]:
        ask()
