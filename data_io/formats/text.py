"""What the readers of text formats share.

Nothing in a file is trusted: its size is checked before it is read, numbers before arithmetic,
outlines before pycocotools; each fault becomes one sentence that names the entry.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_io import geometry as geo
from data_io import shapes
from data_io.errors import DataError
from data_io.formats.labels import Repair
from data_io.types import Instance, Part, Parts, Ring, Source

MAX_BYTES = 100_000_000  # of a file that is read whole
MAX_NAME = 80  # characters of a category's name
MAX_SHAPES = 50_000  # of one picture, in a file that is about one
MAX_RUNS = 1_000_000  # of one mask; an outline needs about 200 bytes for each
_MAX_NODES = 400e6  # bytes that the values of a JSON file may take in memory
_MAX_NUMBER = 1e15  # beyond, pixel coordinates have no fractions left
_MAX_MENDED = 1000  # vertices of a ring that is cut where it crosses itself
_MAX_CONTACTS = 300  # such places in it; what has more is drawn anew from its raster
_MAX_SENTENCES = 100_000  # of one kind; each needs about a thousand bytes
_CORNERS = 64  # of the polygon that stands for a circle or an ellipse


# --- files and entries ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One entry of a file, which can refuse itself.

    Attributes:
        file: where it is. index: what sentences call it. keys: what it holds, unchecked.
    """

    file: Path
    index: str
    keys: Mapping[str, Any]

    def refuse(self, why: str, remedy: str, field: str = "") -> DataError:
        """The sentence that this entry cannot be read."""
        return DataError(self.file, why, remedy, index=self.index, field=field)

    def whole(self, key: str) -> int:
        """The integer under `key`; 7.0 is one, true and "7" are not."""
        value = self.keys.get(key)
        number = whole_number(value)
        if number is None:
            shown = "is missing" if value is None else "is not an integer"
            raise self.refuse(f"{key} {shown}", "write a whole number", key)
        return number

    def number(self, key: str) -> float:
        """The finite number under `key`."""
        number = finite_number(self.keys.get(key))
        if number is None:
            shown = "is missing" if self.keys.get(key) is None else "is not a finite number"
            raise self.refuse(f"{key} {shown}", "write a plain number", key)
        return number

    def text(self, key: str, most: int | None = None) -> str:
        """The text under `key` without the white space around it, at most `most` characters."""
        value = self.keys.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(f"{key} is not a text", "write a name", key)
        if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in value):
            raise self.refuse(f"{key} holds characters that are no text", "write a plain name", key)
        if most is not None and len(value.strip()) > most:
            raise self.refuse(f"{key} has more than {most} characters", "shorten it", key)
        return value.strip()


@dataclass
class Found:
    """The sentences a reader has collected so far."""

    refused: list[DataError] = field(default_factory=list)
    repaired: list[Repair] = field(default_factory=list)

    def refuse(self, error: DataError) -> None:
        """Note what could not be read.

        Raises:
            DataError: there are so many that the source cannot be what it should be.
        """
        if len(self.refused) >= _MAX_SENTENCES:
            why = f"more than {_MAX_SENTENCES} entries cannot be read"
            raise DataError(error.file, why, "check that it is of the chosen format")
        # Only the sentence is wanted: frames would keep all that was read alive.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self.refused.append(error)

    def repair(self, entry: Entry, why: str, done: str, field: str) -> None:
        """Note something that was put right."""
        if len(self.repaired) == _MAX_SENTENCES:
            entry, why, done = (
                Entry(entry.file, "", {}),
                "there is more of this",
                "it is not listed",
            )
        if len(self.repaired) <= _MAX_SENTENCES:
            self.repaired.append(Repair(str(entry.file), entry.index, field, why, done))


def read_text(file: Path, limit: int = MAX_BYTES) -> str:
    """A UTF-8 file of at most `limit` bytes.

    Raises:
        DataError: missing, unreadable, larger, or not UTF-8.
    """
    if not file.is_file():
        raise DataError(file, "there is no such file", "check the path")
    try:
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise DataError(file, "the file cannot be read", "check its permissions") from error
    if len(data) > limit:
        raise DataError(file, f"the file has more than {limit / 1e6:g} million bytes", "split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(file, "the file is not UTF-8 text", "export the labels again") from error


def read_json(file: Path) -> Any:
    """The value of a JSON file; its numbers and texts are still unchecked.

    Raises:
        DataError: as `read_text`; broken or too deep JSON; values that would fill the memory.
    """
    text = read_text(file)
    # About the bytes Python needs for lists, objects and what is between commas.
    if 64 * text.count("[") + 240 * text.count("{") + 32 * text.count(",") > _MAX_NODES:
        raise DataError(file, "the JSON holds too many values", "split the file")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DataError(file, "the JSON is nested too deep", "export the labels again") from error
    except ValueError as error:
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        why = f"the file is not valid JSON{where}"
        raise DataError(file, why, "export the labels again") from error


def files_under(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files below a folder by lower-case suffix, sorted; what is hidden or linked is left out."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in suffixes]
    return sorted(path for path in found if not path.is_symlink())


# --- numbers and texts ----------------------------------------------------------------------------


def whole_number(value: object) -> int | None:
    """The integer a JSON value stands for, up to 63 bits; 7.0 is one, true is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if abs(value) < 2**63 else None


def finite_number(value: object) -> float | None:
    """The number a JSON value stands for; none for NaN, infinity, true and what is beyond 1e15."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _MAX_NUMBER else None  # never true for NaN


def numbers_of_text(text: str) -> NDArray[np.float64] | None:
    """Decimal numbers below 1e15 with white space between; None when anything is none."""
    if not re.fullmatch(r"[-+.0-9eE \t\r\n]*", text):
        return None
    words = text.split()
    try:
        numbers = np.fromiter(map(float, words), np.float64, len(words))
    except ValueError:
        return None
    return numbers if bool((np.abs(numbers) < _MAX_NUMBER).all()) else None


# --- regions in -----------------------------------------------------------------------------------


def drawn_region(
    entry: Entry, ring: Ring, size: tuple[int, int], found: Found, slits: bool = False
) -> Parts:
    """The region inside a ring, cut at the border of its image, where it crosses itself mended.

    A last vertex that repeats the first is dropped.

    Args:
        entry: where the ring is from.
        ring: (N, 2) unchecked pixel coordinates.
        size: width and height of the image in pixels.
        found: gets a repair for each thing put right.
        slits: the format holds holes and parts by rings that touch themselves: nothing to note.

    Raises:
        DataError: too few vertices, not finite, absurdly long, outside the image, or no pixel.
    """
    if len(ring) > 3 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    parts: Parts = (Part(ring),)
    geo.validate_parts(parts, entry.file, entry.index, "points")
    low, high = ring.min(axis=0), ring.max(axis=0)
    rle = geo.rle_of_parts(parts, size[1], size[0])
    if (low < 0).any() or (high > size).any():
        _check_inside(entry, low, high, size, "points")
        parts = _cut(ring, rle)
        found.repair(entry, "the outline leaves the image", "it was cut at the border", "points")
    if not geo.area_of_rle(rle):
        raise entry.refuse("the outline covers no pixel", "draw it larger", "points")
    if not shapes.invalid([parts]):
        return parts
    drawn, crossed = mended(parts, rle, apart=slits)
    if crossed and not slits:
        done = "it was drawn anew around the same pixels"
        found.repair(entry, "the outline crosses itself", done, "points")
    return drawn


def mended(parts: Parts, rle: geo.Rle, apart: bool = False) -> tuple[Parts, bool]:
    """A region without holes whose rings cross or touch themselves, around the same pixels.

    Rings that only touch themselves, on a spike or a slit, stay as they are unless they hold holes.

    Args:
        parts: the region.
        rle: its raster, not empty.
        apart: also take pieces apart that hang on bridges.

    Returns:
        the region, and whether a ring crossed itself.
    """
    few = all(
        len(part.outer) <= _MAX_MENDED and _contacts(part.outer) <= _MAX_CONTACTS for part in parts
    )
    drawn = shapes.repair(parts, *rle["size"])[0] if few else ()
    if not is_drawable(drawn):
        return geo.parts_of_rle(rle), True
    if not _same_area(parts, drawn):
        return drawn, True
    return (drawn if apart or any(part.holes for part in drawn) else parts), False


def _same_area(touching: Parts, drawn: Parts) -> bool:
    """Whether rings only touched themselves: their area is what they enclose."""
    one = sum(abs(_signed_area(part.outer)) for part in touching)
    other = sum(
        abs(_signed_area(part.outer)) - sum(abs(_signed_area(hole)) for hole in part.holes)
        for part in drawn
    )
    return abs(one - other) <= 1e-6 * max(1.0, one, other)


def _signed_area(ring: Ring) -> float:
    x, y = ring[:, 0] - ring[0, 0], ring[:, 1] - ring[0, 1]
    return float(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2


def _contacts(ring: Ring) -> int:
    """About how often edges of a ring cross, touch or continue others that are not beside them."""
    edges = np.roll(ring, -1, axis=0) - ring
    arms = ring[None] - ring[:, None]  # from the start of each edge to each vertex
    side = np.sign(edges[:, None, 0] * arms[..., 1] - edges[:, None, 1] * arms[..., 0])
    met = side * np.roll(side, -1, axis=1) <= 0  # the other's ends are on both sides, or on it
    beside = 3 * len(ring)  # each edge meets itself and its two neighbors
    return (int(np.count_nonzero(met & met.T)) - beside) // 2


def _cut(ring: Ring, rle: geo.Rle) -> Parts:
    height, width = rle["size"]
    moved: Parts = (Part(np.clip(ring, 0, [width, height])),)
    # Moving vertices to the border bends long edges: then only the raster tells what is inside.
    if is_drawable(moved) and geo.same_raster(geo.rle_of_parts(moved, height, width), rle):
        return moved
    return geo.parts_of_rle(rle)


def is_drawable(parts: Parts) -> bool:
    """Whether readers take every ring for the outline of an area."""
    try:
        geo.validate_parts(parts)
    except DataError:
        return False
    return True


def mask_region(
    entry: Entry,
    mask: NDArray[np.bool_],
    corner: tuple[int, int],
    size: tuple[int, int],
    found: Found,
    field: str,
) -> Parts:
    """The exact outline of a mask, cut at the border of its image.

    Args:
        entry: where the mask is from.
        mask: (H, W), no larger than a picture can be.
        corner: x and y in the image of the mask's top-left pixel.
        size: width and height of the image in pixels.
        found: gets a repair when the mask leaves the image.
        field: the key the mask is from.

    Raises:
        DataError: outside the image, empty, or too ragged for an outline.
    """
    low = np.array(corner, dtype=np.float64)
    high = low + mask.shape[::-1]
    if (low < 0).any() or (high > size).any():
        _check_inside(entry, low, high, size, field)
        (left, top), (right, bottom) = (int(v) for v in -low), (int(v) for v in size - low)
        kept = mask[max(top, 0) : bottom, max(left, 0) : right]
        if np.count_nonzero(kept) < np.count_nonzero(mask):
            found.repair(entry, "the mask leaves the image", "it was cut at the border", field)
        mask, corner = kept, (max(corner[0], 0), max(corner[1], 0))
    if np.count_nonzero(mask[:, 1:] != mask[:, :-1]) > MAX_RUNS:
        raise entry.refuse("the mask is too ragged for an outline", "smooth it", field)
    parts = geo.parts_of_mask(mask, *corner)
    if not parts:
        raise entry.refuse("the mask covers no pixel", "draw it larger", field)
    return parts


def _check_inside(entry: Entry, low: Ring, high: Ring, size: tuple[int, int], field: str) -> None:
    if (low >= size).any() or (high <= 0).any():
        why = f"the outline lies outside the image of {size[0]} x {size[1]} pixels"
        raise entry.refuse(why, "check which image it belongs to", field)


def ellipse_ring(x: float, y: float, x_radius: float, y_radius: float) -> Ring:
    """A polygon of 64 corners on an ellipse around (x, y)."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    return np.stack([x + x_radius * np.cos(angles), y + y_radius * np.sin(angles)], axis=1)


@dataclass(frozen=True, eq=False)
class Piece:
    """One shape of a file; pieces of one category and group are one instance."""

    category: str
    parts: Parts
    group: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    source: Source = "human"


def instances_of(pieces: Iterable[Piece]) -> tuple[Instance, ...]:
    """Instances with fresh ids, stacked by their first piece, whose attributes they have."""
    stacks: dict[object, list[Piece]] = {}
    for number, piece in enumerate(pieces):
        alone = piece.group is None
        stacks.setdefault((number,) if alone else (piece.category, piece.group), []).append(piece)
    return tuple(
        Instance(
            id=uuid.uuid4().hex,
            category=first.category,
            parts=tuple(part for piece in (first, *others) for part in piece.parts),
            source=first.source,
            attributes=first.attributes,
        )
        for first, *others in stacks.values()
    )
