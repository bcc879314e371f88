"""An image on the canvas: what is to be done about it, how far that has got, what is saved."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.simulate.annotator import Label, Step
from app.simulate.clock import STANDARD, Action, Spent, between
from app.workflow import documents
from app.workflow.views import View, view
from data_io.geometry import parts_of_json, parts_to_json
from data_io.store import Store

AUTHOR = "simulated"
_ROUNDING = 1e-6  # seconds


@dataclass
class Session:
    """One image from opening it to accepting it; `spent` are seconds of the standard clock."""

    image: str
    steps: list[Step]
    spent: float = 0.0

    @property
    def actions(self) -> list[Action]:
        """All of them, in order."""
        return [action for step in self.steps for action in step.actions]

    @property
    def finished(self) -> bool:
        """Whether everything is done."""
        return self.spent >= STANDARD.seconds(self.actions) - _ROUNDING

    def work(self, seconds: float) -> Spent:
        """Go on for so long, or to the end; what was done in that time."""
        end = min(self.spent + seconds, STANDARD.seconds(self.actions))
        done = between(self.actions, self.spent, end)
        self.spent = end
        return done

    def labels(self) -> list[Label]:
        """Animals that are finished, without those that nobody saw."""
        found, end = [], 0.0
        for step in self.steps:
            end += STANDARD.seconds(step.actions)
            if step.label is not None and end <= self.spent + _ROUNDING:
                found.append(step.label)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "image": self.image,
            "steps": [_step_row(step) for step in self.steps],
            "spent": self.spent,
        }

    @classmethod
    def of_dict(cls, row: Mapping[str, Any]) -> Session:
        """Inverse of `as_dict`."""
        return cls(row["image"], [_step_of_row(step) for step in row["steps"]], row["spent"])


def keep_draft(store: Store, session: Session) -> None:
    """Save the animals that are finished, as the app does while one draws."""
    rows = _rows(session.image, session.labels())
    if rows:
        number = view(store, session.image).number
        documents.save(store, session.image, number, {"instances": rows}, AUTHOR)


def deliver(store: Store, session: Session, by_regions: bool) -> None:
    """Answer the open review regions, where the person was led to them, and accept the image."""
    seen = view(store, session.image)
    labels = session.labels()
    kept = {label.id for label in labels}
    proposed = seen.proposal.instances if seen.proposal else ()
    body = {
        "instances": _rows(session.image, labels),
        "rejected": [one.id for one in proposed if one.id not in kept],
        "version": seen.version,
    }
    number = seen.number
    for region in open_regions(seen) if by_regions else ():
        answer = {**body, "action": "fix"}
        told = documents.answer_region(store, session.image, region, number, answer, AUTHOR)
        number = told["revision"]
    documents.accept_image(store, session.image, number, body, AUTHOR)


def open_regions(seen: View) -> list[str]:
    """Ids of the regions that ask for an answer."""
    return [one.id for one in documents.shown_regions(seen) if one.state == "open"]


def _rows(image: str, labels: Iterable[Label]) -> list[dict[str, Any]]:
    return [
        {
            "id": label.id or uuid.uuid5(uuid.NAMESPACE_OID, f"{image}/drawn/{place}").hex,
            "category": label.category,
            "parts": parts_to_json(label.parts),
        }
        for place, label in enumerate(labels)
    ]


def _step_row(step: Step) -> dict[str, Any]:
    label = step.label
    drawn = label and {**vars(label), "parts": parts_to_json(label.parts)}
    return {"key": step.key, "actions": rows_of(step.actions), "label": drawn}


def _step_of_row(row: Mapping[str, Any]) -> Step:
    drawn = row["label"]
    label = drawn and Label(drawn["id"], drawn["category"], parts_of_json(drawn["parts"]))
    return Step(row["key"], actions_of(row["actions"]), label)


def rows_of(actions: Iterable[Action]) -> list[list[Any]]:
    """[[kind, amount, noise], ...], as records hold them."""
    return [list(action) for action in actions]


def actions_of(rows: Sequence[Sequence[Any]]) -> tuple[Action, ...]:
    """Inverse of `rows_of`."""
    return tuple(Action(*row) for row in rows)
