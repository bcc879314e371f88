"""One run: a person with one way of working, a seed, and rounds of equal human seconds.

A run has a folder: the project it works in, and for each finished round its record, a copy of the
database and what was under way. Killed at any moment it goes on behind the last finished round.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.click_engines import weights_in_use
from app.simulate.annotator import Annotator, Shown, Step, Target, region_rles
from app.simulate.arms import Arm, next_image
from app.simulate.clock import STANDARD, Action, Spent, total
from app.simulate.hand import Hand
from app.simulate.models import Models, Predicts
from app.simulate.score import image_row, test_rows
from app.simulate.session import Session, deliver, keep_draft, open_regions
from app.simulate.shapes import outlined, vertices_for
from app.simulate.truth import Hidden, HiddenImage
from app.workflow.views import view
from data_io.atomic import write_atomic
from data_io.geometry import area_of_rle, rle_of_parts
from data_io.images import read
from data_io.store import Store
from data_io.store.database import DATABASE_NAME
from data_io.store.migrate import copy_database
from data_io.store.records import NewImage
from data_io.types import ImageRecord

FIRST_ROUND = 60.0  # seconds; each of the next ones doubles what has been spent
SHORTEST = 1.1  # the last round joins the one before it if it adds less than a tenth
_DONE = 1e-6

Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """When rounds end, in seconds of all human work, and which end with a training."""

    ends: tuple[float, ...]
    trained: frozenset[int]  # numbers from 1


def plan(full: float, trainings: int, after: Sequence[int] = ()) -> Plan:
    """Rounds up to the cost of drawing everything from scratch.

    Args:
        full: that cost, seconds.
        trainings: how many, spread evenly over the rounds; the last one after the last round.
        after: numbers of rounds that end with a training, instead.
    """
    ends = [min(FIRST_ROUND, full)]
    while ends[-1] < full:
        ends.append(min(2 * ends[-1], full))
    if len(ends) > 1 and ends[-1] < SHORTEST * ends[-2]:
        del ends[-2]
    count = len(ends)
    spread = {math.ceil(count * k / trainings) for k in range(1, trainings + 1)}
    return Plan(tuple(ends), frozenset(after or spread))


def scratch(targets: Sequence[Sequence[Target]], quality: float) -> Spent:
    """What drawing all animals of all images from scratch takes, without noise."""
    actions: list[Action] = []
    for animals in targets:
        actions += [Action("open"), Action("scan", len(animals))]
        for target in animals:
            vertices = vertices_for(outlined(target.rle, quality))
            actions += [Action("think"), Action("outline", vertices)]
    return total(actions)


class Run:
    """One arm with one seed in one folder; `rounds` does what is left of it.

    Args:
        trainings, after: see `plan`.
    """

    def __init__(
        self,
        hidden: Hidden,
        arm: Arm,
        annotator: Annotator,
        models: Models,
        folder: Path,
        trainings: int = 3,
        after: Sequence[int] = (),
    ) -> None:
        self.hidden, self.arm, self.annotator, self.models = hidden, arm, annotator, models
        self.folder = folder
        self._trainings, self._after = trainings, after
        self._images = {image.path: image for image in hidden.pool}
        self._barren: frozenset[str] = frozenset()
        self._session: Session | None = None
        self._model: Predicts | None = None

    def records(self) -> list[Record]:
        """Those of the rounds that are finished."""
        found: list[Record] = []
        while (file := self._file(len(found) + 1)).is_file():
            found.append(json.loads(file.read_text(encoding="utf-8")))
        return found

    def rounds(self) -> Iterator[Record]:
        """Do the rounds that are left; the record of each as soon as it is on disk."""
        done = self.records()
        if done and done[-1]["done"]:
            return
        self._restore(len(done))
        with Store.open(self.folder / "project") as store:
            self._targets = self._seen(store)
            full = scratch(list(self._targets.values()), self.annotator.traits.outline)
            self._plan = plan(STANDARD.price(full), self._trainings, self._after)
            if done:
                self._resume(store, len(done))
            elif self.arm.order == "queue":
                self.models.look_first(store)
            for number in range(len(done) + 1, len(self._plan.ends) + 1):
                record = self._round(store, number, done) | {"full": full}
                self._keep(store, number, record)
                done.append(record)
                yield record
                if record["done"]:
                    return

    # --- a round ----------------------------------------------------------------------------------

    def _round(self, store: Store, number: int, done: Sequence[Record]) -> Record:
        before = self._plan.ends[number - 2] if number > 1 else 0.0
        spent, finished = self._work(store, self._plan.ends[number - 1] - before)
        left = self._left(store)
        if self._session is not None:
            keep_draft(store, self._session)
        old = self._model.version if self._model else None
        trained = self._renew(store, number, bool(finished) or _untrained(done), not left)
        test = done[-1]["test"] if done else None
        if self._model is not None and self._model.version != old:
            test = test_rows(self._model, self.hidden.test)
            self._propose(store, left)
        return {
            "set": self.hidden.name,
            "arm": self.arm.name,
            "seed": self.annotator.seed,
            "round": number,
            "spent": spent,
            "seconds": STANDARD.price(spent),
            "images": finished,
            "trained": trained,
            "version": self._model.version if self._model else None,
            "test": test,
            "left": len(left),
            "done": not left or number == len(self._plan.ends),
        }

    def _work(self, store: Store, seconds: float) -> tuple[Spent, list[Record]]:
        """Label for so long; how much of every action, and the images finished."""
        spent: Spent = {}
        finished = []
        while seconds > _DONE:
            if self._session is None:
                left = self._left(store)
                if not left:
                    break
                seed = self.annotator.seed
                record = next_image(self.arm, store, seed, left, self._barren)
                self._session = Session(record.id, self._steps(store, record))
            done = self._session.work(seconds)
            seconds -= STANDARD.price(done)
            for kind, amount in done.items():
                spent[kind] = spent.get(kind, 0.0) + amount
            if self._session.finished:
                finished.append(self._deliver(store, self._session))
                self._session = None
        return spent, finished

    def _steps(self, store: Store, record: ImageRecord) -> list[Step]:
        """What the person does about an image, as it is on the screen now."""
        image, targets = self._images[record.path], self._targets[record.path]
        if not self.arm.proposals:
            return self.annotator.draw_all(image.name, targets)
        seen = view(store, record.id)
        height, width = record.height, record.width
        shown = [
            Shown(one.id, one.category, one.parts, rle_of_parts(one.parts, height, width))
            for one in (seen.proposal.instances if seen.proposal else ())
        ]
        hand = None
        if self.arm.clicks:
            hand = Hand(self.models.refiner(store), read(record.path))
            hand.sizes.extend(area_of_rle(one.rle) ** 0.5 for one in shown)
        if not shown:
            return self.annotator.draw_all(image.name, targets, hand)
        asking = open_regions(seen) if self.arm.highlights else []
        places = [region.parts for region in seen.regions if region.id in asking]
        highlights = region_rles(places, height, width)
        side = max(height, width)
        return self.annotator.review(image.name, targets, shown, highlights, side, hand)

    def _deliver(self, store: Store, session: Session) -> Record:
        deliver(store, session, self.arm.highlights)
        path = store.image(session.image).path
        return image_row(self._images[path], self._targets[path], session.steps)

    # --- models -----------------------------------------------------------------------------------

    def _renew(self, store: Store, number: int, news: bool, all_done: bool) -> bool:
        """Bring the model up to date; whether that took a training.

        Args:
            news: images were finished since the last training.
        """
        due = all_done or number in self._plan.trained
        if not self.arm.retrained and (self._model is not None or not due):
            return False
        if not (due and news):
            self._model = self.models.instant(store) or self._model
            return False
        model = self.models.trained(store, self.arm.method, self.annotator.seed, number)
        self._model = model or self._model
        return model is not None

    def _propose(self, store: Store, left: Sequence[ImageRecord]) -> None:
        """New proposals for what waits; the image on the canvas keeps what is shown on it."""
        model, barren = self._model, set()
        if model is None or self.arm.order == "random":
            return
        for record in left:
            if self._session is not None and record.id == self._session.image:
                continue
            if self.arm.proposals:
                self.models.propose(store, record)
                made = store.proposal(record.id)
                animals = made.instances if made else ()
            else:
                animals = model.predict(read(record.path)).instances
            if not animals:
                barren.add(record.id)
        self._barren = frozenset(barren)

    # --- the project ------------------------------------------------------------------------------

    def _seen(self, store: Store) -> dict[str, list[Target]]:
        """Fill the project where it is empty; path -> what the person sees on each image."""
        categories = {name: store.add_category(name).id for name in self.hidden.categories}
        if not store.images():
            store.add_images([_new(image) for image in self.hidden.pool])
        return {
            image.path: [
                self.annotator.target(f"{image.name}/{place}", categories[name], truth)
                for place, (name, truth) in enumerate(image.animals)
            ]
            for image in self.hidden.pool
        }

    def _left(self, store: Store) -> list[ImageRecord]:
        states = store.image_states()
        return [one for one in store.images() if states[one.id].verified != "whole"]

    def _file(self, number: int, suffix: str = ".json") -> Path:
        return self.folder / f"round-{number:02d}{suffix}"

    def _keep(self, store: Store, number: int, record: Record) -> None:
        """Put a finished round on disk; its record comes last and makes it valid."""
        copy = copy_database(store.project / DATABASE_NAME, f"round-{number:02d}")
        copy.replace(self._file(number, ".db"))
        state = {
            "session": self._session.as_dict() if self._session else None,
            "barren": sorted(self._barren),
        }
        write_atomic(self._file(number, ".state.json"), json.dumps(state).encode())
        write_atomic(self._file(number), json.dumps(record).encode())
        self._tidy(store)

    def _tidy(self, store: Store) -> None:
        """Remove the files of versions that are no longer, or not yet, in use.

        A version that was kept aside may be in use all the same: clicks are answered by its
        refiner.
        """
        promoted = store.promoted()
        kept = {weights_in_use(store).parent.name, promoted.id if promoted else ""}
        for folder in (store.project / "versions").iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder)

    def _restore(self, number: int) -> None:
        """Make the project what it was after that round; 0 = not there."""
        project = self.folder / "project"
        if number == 0:
            shutil.rmtree(project, ignore_errors=True)
            return
        for suffix in ("-wal", "-shm"):
            project.joinpath(DATABASE_NAME + suffix).unlink(missing_ok=True)
        shutil.copy(self._file(number, ".db"), project / DATABASE_NAME)

    def _resume(self, store: Store, number: int) -> None:
        state = json.loads(self._file(number, ".state.json").read_text(encoding="utf-8"))
        self._session = Session.of_dict(state["session"]) if state["session"] else None
        self._barren = frozenset(state["barren"])
        self._tidy(store)
        self._model = self.models.instant(store)


def _untrained(done: Sequence[Record]) -> bool:
    """Whether images were finished since the last round with a training."""
    for record in reversed(done):
        if record["trained"]:
            return False
        if record["images"]:
            return True
    return False


def _new(image: HiddenImage) -> NewImage:
    return NewImage(image.path, image.width, image.height, image.sha256, image.group)
