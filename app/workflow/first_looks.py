"""First looks: while nobody has drawn an animal, the queue hears what its front looks like.

So the first image somebody opens shows an animal, where the backbone's classifier sees one at all,
and no two of the first images are of one kind.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.queue import Queue
from app.workflow.looks import Looks
from app.workflow.proposals import readable
from data_io.errors import DataError
from data_io.store import ImageState, Store
from data_io.types import ImageRecord
from model.first_look import FirstLook, first_look_file

FRONT = 64  # places of the queue that shall be known
MOST = 1000  # images; where hardly any shows an animal, more looks would bring few


class FirstLooks:
    """Looks at one image a step, until enough is known; not thread-safe.

    Args:
        store: the project.
        queue, looks: of the project.
        threads: of the network on the CPU.
    """

    def __init__(
        self, store: Store, queue: Queue, looks: Looks, threads: int | None = None
    ) -> None:
        self._store, self._queue, self._looks = store, queue, looks
        self._threads = threads
        self._network: FirstLook | None = None
        self._refused: set[str] = set()  # images that cannot be read

    def step(self, states: Mapping[str, ImageState]) -> bool:
        """Look at the next image; False where the front of the queue is known.

        Raises:
            DataError: the network cannot be had.
            StoreError: the disk is full or cannot be written.
        """
        record = self._next(states)
        if record is None:
            return False
        network = self._ready()
        try:
            self._looks.add(record.id, *network.at(readable(record)))
        except DataError as error:
            logging.warning("%s", error)
            self._refused.add(record.id)
        return True

    def _next(self, states: Mapping[str, ImageState]) -> ImageRecord | None:
        if sum(one.foreground is not None for one in states.values()) >= MOST:
            return None
        front = (states.get(item.image) for item in self._queue.ranked(FRONT))
        for one in front:
            if one is not None and one.foreground is None and one.id not in self._refused:
                return self._store.image(one.id)
        return None

    def _ready(self) -> FirstLook:
        if self._network is None:
            path = first_look_file(self._store.project / "artifacts")
            self._network = FirstLook(path, self._threads)
        return self._network
