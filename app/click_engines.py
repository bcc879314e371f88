"""What answers clicks in a project: the herd's refiner, or the SAM-style pair of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.settings import Settings
from app.workflow.training import version_folder
from data_io.store import Store
from data_io.types import Parts
from model.assist import ONNX, engine, sam_engine
from model.assist.clicks import Click
from model.assist.engine import Answer, Change
from model.assist.sam import SamPair
from model.assist.sam_engine import Embeddings
from model.assist.served import GENERAL, Served, answer_file

Bytes = NDArray[np.uint8]
Box = tuple[float, float, float, float]


class Asked(NamedTuple):
    """A click at an outline, see `model.assist.engine.change`."""

    parts: Parts
    clicks: Sequence[Click]
    usual: float
    free: bool


class Engine(Protocol):
    """Answers about images; `key` names the image, one that is seen again may be quicker."""

    def change(self, key: str, image: Bytes, asked: Asked) -> Change:
        """See `model.assist.engine.change`."""

    def in_box(self, key: str, image: Bytes, box: Box) -> Parts:
        """See `model.assist.engine.in_box`."""

    def through(self, key: str, image: Bytes, points: Sequence[tuple[float, float]]) -> Parts:
        """See `model.assist.engine.through`."""

    def attend(self, key: str, image: Bytes) -> None:
        """Get ready for the first click on an image."""

    def is_ready(self, key: str) -> bool:
        """Whether `attend` has nothing to do."""


class RefinerEngine:
    """The refiner looks at crops alone, so no image needs anything beforehand."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def change(self, key: str, image: Bytes, asked: Asked) -> Change:
        """See `Engine`."""
        return engine.change(self._answer, image, *asked)

    def in_box(self, key: str, image: Bytes, box: Box) -> Parts:
        """See `Engine`."""
        return engine.in_box(self._answer, image, box)

    def through(self, key: str, image: Bytes, points: Sequence[tuple[float, float]]) -> Parts:
        """See `Engine`."""
        return engine.through(self._answer, image, points)

    def attend(self, key: str, image: Bytes) -> None:
        """Nothing to do."""

    def is_ready(self, key: str) -> bool:
        """Always."""
        return True


class SamEngine:
    """A pair looks at whole images."""

    def __init__(self, pair: SamPair) -> None:
        self._pair, self._embeddings = pair, Embeddings(pair)

    def change(self, key: str, image: Bytes, asked: Asked) -> Change:
        """See `Engine`."""
        seen = self._embeddings.of(key, image)
        return sam_engine.change(self._pair, seen, asked.parts, asked.clicks, asked.free)

    def in_box(self, key: str, image: Bytes, box: Box) -> Parts:
        """See `Engine`."""
        return sam_engine.in_box(self._pair, self._embeddings.of(key, image), box)

    def through(self, key: str, image: Bytes, points: Sequence[tuple[float, float]]) -> Parts:
        """See `Engine`."""
        return sam_engine.through(self._pair, self._embeddings.of(key, image), points)

    def attend(self, key: str, image: Bytes) -> None:
        """Embed the image."""
        self._embeddings.of(key, image)

    def is_ready(self, key: str) -> bool:
        """Whether its embedding is kept."""
        return key in self._embeddings


def weights_in_use(store: Store) -> Path:
    """The file of the refiner of the promoted version, of the newest that has one, or of everyone.

    A refiner has a gate of its own (`model.assist.herd`), so one is used whose version was kept
    aside: as long as the instant model proposes, there is no other that knows the herd.
    """
    return next((file for file in _own_files(store) if file.is_file()), GENERAL)


def _own_files(store: Store) -> Iterator[Path]:
    """Where refiners of versions lie; the list is asked for where the one in use has none."""
    promoted = store.promoted()
    if promoted is not None:
        yield version_folder(store, promoted.id) / ONNX
    yield from (version_folder(store, version.id) / ONNX for version in store.versions())


def served_file(store: Store, source: Path) -> Path:
    """The ONNX file of `weights_in_use`; the general one's is exported when it is first asked for.

    Raises:
        DataError: the export failed.
    """
    return answer_file(source, store.project / "artifacts") if source == GENERAL else source


def source_of(store: Store, chosen: Settings) -> tuple[Path, ...]:
    """The files that answer: two of a SAM-style pair, one of a refiner."""
    if chosen.sam_encoder:
        return Path(chosen.sam_encoder), Path(chosen.sam_decoder)
    return (weights_in_use(store),)


def open_engine(store: Store, source: Sequence[Path], threads: int | None) -> Engine:
    """The engine of `source_of`.

    Raises:
        DataError: a file is missing, damaged or of another kind.
    """
    if len(source) == 2:
        return SamEngine(SamPair(source[0], source[1], threads))
    return RefinerEngine(Served(served_file(store, source[0]), threads))
