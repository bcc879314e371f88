"""Answers clicks on images: one at a time, and of one client only the newest.

A click answered late would be applied to what has changed meanwhile, so a client numbers its
requests, and one that waits while a newer one has come is told so instead of being worked on.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import settings
from app.click_engines import Asked, Engine, open_engine, source_of
from data_io.images import read
from data_io.store import Store
from data_io.types import ImageRecord, Parts
from model.assist.clicks import Click
from model.assist.engine import Change

log = logging.getLogger("herdmark")
PICTURES = 2  # decoded images that are kept: this one and the one before
UNKNOWN = 0.15  # of an image's long side: an animal's size where nobody knows better
CLIENTS = 64  # whose newest numbers are remembered

Bytes = NDArray[np.uint8]


class SupersededError(Exception):
    """A newer request of the same client has come."""


class Assistant:
    """The click tool of a project: the refiner of the version in use, or what the settings say.

    It is loaded when it is first asked, and again when another version is in use.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Lock()
        self._known = threading.Lock()
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._pictures: OrderedDict[str, Bytes] = OrderedDict()
        self._engine: Engine | None = None
        self._source: tuple[Path, ...] = ()
        self._attended = ""
        self._coming: list[ImageRecord] = []
        self._ahead: threading.Thread | None = None

    def attend(self, record: ImageRecord, coming: Sequence[ImageRecord] = ()) -> None:
        """Get ready for the first click on an image; errors as in `click`.

        Args:
            coming: images that are likely to be next; they are looked at in the background where
                the engine needs that.
        """
        with self._known:
            self._attended = record.id
        with self._turn:
            if self._attended != record.id:
                return  # somebody stepped on while this one waited
            engine = self._ready()
            engine.attend(record.sha256, self._picture(record))
        with self._known:
            self._coming = [one for one in coming if not engine.is_ready(one.sha256)]
            if self._coming and self._ahead is None:
                self._ahead = threading.Thread(
                    target=self._look_ahead, daemon=True, name="clicks ahead"
                )
                self._ahead.start()

    def _look_ahead(self) -> None:
        while True:
            with self._known:
                if not self._coming:
                    self._ahead = None
                    return
                record, engine = self._coming.pop(0), self._engine
            try:
                if engine is not None and not engine.is_ready(record.sha256):
                    engine.attend(record.sha256, read(record.path))
            except Exception as error:  # whatever it is, the image's first click will say it
                log.info("%s: not ready for clicks: %s", record.path, error)

    def click(
        self,
        record: ImageRecord,
        parts: Parts,
        clicks: Sequence[Click],
        usual: float,
        free: bool,
        client: str,
        number: int,
    ) -> Change:
        """What the last of the clicks changes, see `model.assist.engine.change`.

        Args:
            usual: size of an animal there, image pixels; 0 = not known.
            free: nobody vouches for the outline.
            client, number: who asks, and the number of this request among theirs.

        Raises:
            SupersededError: the client has asked something newer.
            DataError: the image cannot be read, or the refiner cannot be had.
        """
        usual = usual or UNKNOWN * max(record.width, record.height)
        with self._in_turn(client, number):
            engine, picture = self._ready(), self._picture(record)
            return engine.change(record.sha256, picture, Asked(parts, clicks, usual, free))

    def box(
        self, record: ImageRecord, box: tuple[float, float, float, float], client: str, number: int
    ) -> Parts:
        """The animal in a box (left, top, right, bottom); errors as in `click`."""
        with self._in_turn(client, number):
            return self._ready().in_box(record.sha256, self._picture(record), box)

    def points(
        self, record: ImageRecord, points: Sequence[tuple[float, float]], client: str, number: int
    ) -> Parts:
        """The animal with these points in it; errors as in `click`."""
        with self._in_turn(client, number):
            return self._ready().through(record.sha256, self._picture(record), points)

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

    def _ready(self) -> Engine:
        chosen = settings.load(self._store.project)
        source = source_of(self._store, chosen)
        if self._engine is None or self._source != source:
            self._engine = open_engine(self._store, source, chosen.threads)
            self._source = source
        return self._engine

    def _picture(self, record: ImageRecord) -> Bytes:
        found = self._pictures.pop(record.sha256, None)
        if found is None:
            found = read(record.path)
        self._pictures[record.sha256] = found
        while len(self._pictures) > PICTURES:
            self._pictures.popitem(last=False)
        return found
