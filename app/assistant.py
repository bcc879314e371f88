"""Answers clicks on images: one at a time, and of one client only the newest.

A click answered late would be applied to what has changed meanwhile, so a client numbers its
requests, and one that waits while a newer one has come is told so instead of being worked on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app import settings
from app.workflow.training import version_folder
from data_io.images import read
from data_io.store import Store
from data_io.types import ImageRecord, Parts
from model.assist.clicks import Click
from model.assist.engine import Change, change, in_box, through

if TYPE_CHECKING:
    from model.assist.served import Served

PICTURES = 2  # decoded images that are kept: this one and the one before
UNKNOWN = 0.15  # of an image's long side: an animal's size where nobody knows better
CLIENTS = 64  # whose newest numbers are remembered

Bytes = NDArray[np.uint8]


class SupersededError(Exception):
    """A newer request of the same client has come."""


class Assistant:
    """The refiner of a project: the version's in use, else the general one.

    It is loaded when it is first asked, and again when another version is in use.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._known = threading.Lock()
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._pictures: OrderedDict[str, Bytes] = OrderedDict()
        self._answer: Served | None = None
        self._source: Path | None = None

    def attend(self, record: ImageRecord) -> None:
        """Get ready for the first click on an image; errors as in `click`."""
        with self._turn:
            self._ready()
            self._picture(record)

    def click(
        self,
        record: ImageRecord,
        parts: Parts,
        clicks: Sequence[Click],
        usual: float,
        own: bool,
        client: str,
        number: int,
    ) -> Change:
        """What the last of the clicks changes, see `model.assist.engine.change`.

        Args:
            usual: size of an animal there, image pixels; 0 = not known.
            own: these clicks alone have made the outline.
            client, number: who asks, and the how manieth request of theirs it is.

        Raises:
            SupersededError: the client has asked something newer.
            DataError: the image cannot be read, or the refiner cannot be had.
        """
        usual = usual or UNKNOWN * max(record.width, record.height)
        with self._in_turn(client, number):
            return change(self._ready(), self._picture(record), parts, clicks, usual, own)

    def box(
        self, record: ImageRecord, box: tuple[float, float, float, float], client: str, number: int
    ) -> Parts:
        """The animal in a box (left, top, right, bottom); errors as in `click`."""
        with self._in_turn(client, number):
            return in_box(self._ready(), self._picture(record), box)

    def points(
        self, record: ImageRecord, points: Sequence[tuple[float, float]], client: str, number: int
    ) -> Parts:
        """The animal with these points in it; errors as in `click`."""
        with self._in_turn(client, number):
            return through(self._ready(), self._picture(record), points)

    @contextmanager
    def _in_turn(self, client: str, number: int) -> Iterator[None]:
        """Alone at work on the request, unless a newer one has come while it waited."""
        with self._known:
            self._newest[client] = max(number, self._newest.pop(client, number))
            while len(self._newest) > CLIENTS:
                self._newest.popitem(last=False)
        with self._turn:
            if self._newest.get(client, number) > number:
                raise SupersededError
            yield

    def _ready(self) -> Served:
        # Late: many a session never asks.
        from model.assist.served import GENERAL, ONNX, Served, answer_file

        promoted = self._store.promoted()
        own = version_folder(self._store, promoted.id) / ONNX if promoted else None
        source = own if own is not None and own.is_file() else GENERAL
        if self._answer is None or self._source != source:
            project = self._store.project
            file = source if source == own else answer_file(GENERAL, project / "artifacts")
            self._answer = Served(file, settings.load(project).threads)
            self._source = source
        return self._answer

    def _picture(self, record: ImageRecord) -> Bytes:
        found = self._pictures.pop(record.sha256, None)
        if found is None:
            found = read(record.path)
        self._pictures[record.sha256] = found
        while len(self._pictures) > PICTURES:
            self._pictures.popitem(last=False)
        return found
