"""The one error a user can read: what was wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any


class DataError(Exception):
    """Bad input, told in one sentence.

    Args:
        file: the file (or upload) it was found in, as the user knows it.
        why: what is wrong, without a full stop.
        remedy: what the user can do, an imperative without a full stop.
        index: position or id of the entry inside the file, e.g. ``annotation 17``.
        field: the key or column inside that entry, e.g. ``segmentation``.
    """

    def __init__(
        self, file: object, why: str, remedy: str, *, index: str = "", field: str = ""
    ) -> None:
        self.file, self.index, self.field = str(file), index, field
        self.why, self.remedy = why, remedy
        super().__init__(self.sentence())

    def __reduce__(self) -> tuple[Any, ...]:
        """Exceptions are copied between processes by their arguments, which is one text here."""
        where = {"index": self.index, "field": self.field}
        return partial(type(self), **where), (self.file, self.why, self.remedy)

    def sentence(self) -> str:
        """``file, index, field: why; remedy.``, leaving out what is empty."""
        place = ", ".join(part for part in (self.file, self.index, self.field) if part)
        return f"{place}: {self.why}; {self.remedy}."

    def as_dict(self) -> dict[str, str]:
        """The row of a `refused` list in the command line's JSON answers."""
        return {
            "file": self.file,
            "index": self.index,
            "field": self.field,
            "why": f"{self.why}; {self.remedy}",
        }


class ConflictError(Exception):
    """A save started from a revision that is no longer the newest one.

    Attributes:
        image: id of the image.
        base: the revision number the save started from.
        current: the newest revision number in the store.
    """

    def __init__(self, image: str, base: int, current: int) -> None:
        self.image, self.base, self.current = image, base, current
        super().__init__(
            f"image {image}: the save started from revision {base} but revision {current} is newer;"
            " reload the image and apply the edit again."
        )


class StoreError(Exception):
    """The project database cannot serve a request; the message says what to do."""


def refused_rows(errors: Iterable[DataError]) -> list[dict[str, str]]:
    """The `refused` list of an import answer."""
    return [error.as_dict() for error in errors]
