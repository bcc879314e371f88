"""What formats made of label PNGs share: PNGs whose pixels are numbers, in and out.

A label PNG (https://www.w3.org/TR/png-3/) has one number a pixel: a grey sample of up to 16 bits,
or the index of a palette color. It is no photo, so nothing turns, scales or converts its pixels.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_io import geometry as geo
from data_io.errors import DataError
from data_io.formats.labels import Export, ExportImage, Picture, Pictures, possible_size
from data_io.formats.text import MAX_RUNS
from data_io.formats.text_write import check_names, many
from data_io.images import EXTENSIONS
from data_io.types import Parts

MAX_PIECES = 20_000  # instances that connected areas of one image may become
_MAX_BYTES = 250_000_000  # two bytes for every pixel of the largest image, hardly compressed
_MAX_COLORED = 25e6  # pixels of a PNG with colors, which takes eleven bytes for each
_MAX_TRACED = 400e6  # pixels in the boxes of all values of one image
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _INDEX, _RGBA = 0, 2, 3, 6  # color types
_NUMBERS = "save it as an 8-bit palette or grey PNG"
_PHOTOS = (*sorted(EXTENSIONS - {".png"}), *(end.upper() for end in sorted(EXTENSIONS)), ".png")

Numbers = NDArray[Any]  # (H, W) of an integer type
Window = tuple[slice, slice]  # rows and columns


# --- in -------------------------------------------------------------------------------------------


def read_png(
    file: Path, size: tuple[int, int] | None = None, colors: Mapping[int, int] | None = None
) -> Numbers:
    """The numbers of a label PNG, (H, W), uint16 when its samples have 16 bits, else uint8.

    Args:
        file: the PNG.
        size: width and height it must have, in pixels.
        colors: 0xRRGGBB -> number below 256. With it, colors are read as well, and a palette whose
            colors are all known stands for their numbers instead of its indices.

    Raises:
        DataError: missing, no PNG, damaged, too large, of another size, or colors nobody explains.
    """
    width, height, depth, kind = _header(file)
    if size is not None and (width, height) != size:
        why = f"the label PNG has {width} x {height} pixels, its picture {size[0]} x {size[1]}"
        raise DataError(file, why, "use the pictures that were labeled")
    colored = kind in (_RGB, _RGBA)
    if kind not in (_GREY, _INDEX) and (colors is None or not colored):
        raise DataError(file, "the PNG holds colors instead of numbers", _NUMBERS)
    if colored and width * height > _MAX_COLORED:
        raise DataError(file, "the PNG is too large for one with colors", _NUMBERS)
    pixels, palette = _pixels(file)
    if pixels.shape[:2] != (height, width) or pixels.ndim != (3 if colored else 2):
        raise _damaged(file)
    if colored:
        return _numbers_of_colors(file, pixels, colors or {})
    if kind == _INDEX:
        return _numbers_of_indices(pixels, palette, colors or {})
    if depth == 16:
        return pixels.astype(np.uint16)
    # Pillow spreads samples of 2 and 4 bits over 0..255.
    return pixels.astype(np.uint8) // {2: 85, 4: 17}.get(depth, 1)


def _header(file: Path) -> tuple[int, int, int, int]:
    """Width, height, bits of a sample and color type, checked before anything is decoded."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            why = f"the file has more than {_MAX_BYTES / 1e6:g} million bytes"
            raise DataError(file, why, _NUMBERS)
        with file.open("rb") as stream:
            head = stream.read(26)
    except OSError as error:
        why = "the label PNG is missing or cannot be read"
        raise DataError(file, why, "check the path and its permissions") from error
    if len(head) < 26 or not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR":
        why = "this is not a PNG, whatever its name says"
        raise DataError(file, why, "remove it or export the labels again")
    width, height, depth, kind = struct.unpack(">IIBB", head[16:])
    if not possible_size(width, height):
        why = f"the PNG claims {width} x {height} pixels, which no image can have"
        raise DataError(file, why, "cut the image into tiles")
    return width, height, depth, kind


def _pixels(file: Path) -> tuple[Numbers, list[int]]:
    with _decoding(file), Image.open(file, formats=("PNG",)) as image:
        # A second header would slip past the check of the first.
        if image.size != _header(file)[:2]:
            raise _damaged(file)
        pixels = np.asarray(image)
        return pixels, image.getpalette() or [] if image.mode == "P" else []


@contextmanager
def _decoding(file: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a damaged file makes Pillow's decoder raise nearly anything
        raise _damaged(file) from error


def _damaged(file: Path) -> DataError:
    return DataError(file, "the PNG is truncated or damaged", "copy it again from its source")


def _numbers_of_colors(file: Path, pixels: Numbers, colors: Mapping[int, int]) -> Numbers:
    packed = pixels[..., 0].astype(np.uint32) << 16
    packed |= pixels[..., 1].astype(np.uint32) << 8
    packed |= pixels[..., 2]
    table = np.full(1 << 24, -1, dtype=np.int16)
    table[list(colors)] = list(colors.values())
    numbers = table[packed]
    unknown = numbers < 0
    if unknown.any():
        color = int(packed[unknown][0])
        why = f"the color {color >> 16},{color >> 8 & 255},{color & 255} is in no label map"
        raise DataError(file, why, "add it to labelmap.txt")
    return numbers.astype(np.uint8)


def _numbers_of_indices(pixels: Numbers, palette: list[int], colors: Mapping[int, int]) -> Numbers:
    triples = zip(palette[0::3], palette[1::3], palette[2::3], strict=False)
    known = [colors.get(r << 16 | g << 8 | b, -1) for r, g, b in triples]
    table = np.array((known + [-1] * 256)[:256], dtype=np.int16)
    used = np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
    if (table[used] < 0).any():
        return pixels.astype(np.uint8)
    return table.astype(np.uint8)[pixels]


def windows(file: Path, numbers: Numbers, skip: Collection[int]) -> dict[int, Window]:
    """The box of each number that occurs, ascending: rows and columns to index the array with.

    Args:
        file: what a sentence names.
        numbers: (H, W).
        skip: numbers that are no region.

    Raises:
        DataError: so ragged that it is noise or a photo instead of labels.
    """
    height, width = numbers.shape
    starts = np.ones(numbers.shape, dtype=np.bool_)  # of runs of one number along a row
    np.not_equal(numbers[:, 1:], numbers[:, :-1], out=starts[:, 1:])
    if np.count_nonzero(starts) > MAX_RUNS + height:
        raise _noise(file)
    rows, left = np.nonzero(starts)
    right = left + np.diff(rows * width + left, append=height * width)
    owner = numbers[rows, left]
    order = np.argsort(owner, kind="stable")
    rows, left, right, owner = rows[order], left[order], right[order], owner[order]
    first = np.concatenate([[0], np.flatnonzero(owner[1:] != owner[:-1]) + 1])
    last = np.append(first[1:], len(owner)) - 1
    boxes = zip(
        owner[first].tolist(),
        rows[first].tolist(),
        (rows[last] + 1).tolist(),
        np.minimum.reduceat(left, first).tolist(),
        np.maximum.reduceat(right, first).tolist(),
        strict=True,
    )
    found = {
        number: (slice(top, bottom), slice(west, east))
        for number, top, bottom, west, east in boxes
        if number not in skip
    }
    area = sum((y.stop - y.start) * (x.stop - x.start) for y, x in found.values())
    if area > _MAX_TRACED:
        raise _noise(file)
    return found


def _noise(file: Path) -> DataError:
    why = "the numbers change too often for labels"
    return DataError(file, why, "check that this is a label PNG and no photo")


def outline(inside: NDArray[np.bool_], window: Window) -> Parts:
    """The exact outline, in the image, of a mask that fills a window of it."""
    rows, columns = window
    return geo.parts_of_mask(inside, columns.start, rows.start)


def verified_area(void: NDArray[np.bool_]) -> Parts | None:
    """The outline of what is not void, None when nothing is; void: (H, W)."""
    return geo.parts_of_mask(~void) if void.any() else None


def picture_of(file: Path, pictures: Pictures, names: Iterable[str]) -> Picture:
    """The picture of a label file, by the first of some names that has one.

    Raises:
        DataError: none has, or it is not clear which picture is meant.
    """
    fault: DataError | None = None
    tried = list(dict.fromkeys(names))
    for name in tried:
        # A name that also fits label files becomes clear with the ending of a photo.
        for candidate in (name, *(name + end for end in _PHOTOS)):
            try:
                picture = pictures.find(candidate)
            except DataError as error:
                fault = fault or error
                continue
            if picture is not None:
                return picture
            if fault is None:
                break
    if fault is not None:
        raise DataError(file, fault.why, fault.remedy)
    why = f"there is no picture called {tried[0]}"
    raise DataError(file, why, "give the folder of the images with --images")


# --- out ------------------------------------------------------------------------------------------


def write_png(file: Path, numbers: Numbers, palette: bytes | None = None) -> None:
    """Write a label PNG; the same numbers give the same bytes.

    Args:
        file: a new file; its folder is made when missing.
        numbers: (H, W), uint8 or uint16.
        palette: 256 x RGB for indices of 8 bits; without it the numbers are grey samples.
    """
    image = Image.fromarray(np.ascontiguousarray(numbers))
    if palette is not None:
        image.putpalette(palette)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as stream:
        image.save(stream, "PNG", compress_level=6)


def label_files(
    target: Path, export: Export, label_of: Callable[[ExportImage, str], str]
) -> list[str]:
    """The relative name of each image's label file.

    Raises:
        DataError: two images would share one, or its name cannot be written or found again.
    """
    check_names(target, export)
    taken: dict[str, str] = {}
    files = []
    for image, name in zip(export.images, export.names, strict=True):
        file = label_of(image, name)
        other = taken.setdefault(file, name)
        if other != name:
            why = f"{other} and {name} would share the label file {file}"
            raise DataError(target, why, "rename one of the two images", field="file_name")
        if any(part.startswith(".") for part in PurePosixPath(file).parts):
            why = f"the label file of {name} would be hidden"
            raise DataError(target, why, "rename the image or its folder", field="file_name")
        files.append(file)
    return files


def paint(rles: Sequence[geo.Rle], height: int, width: int) -> NDArray[np.int32]:
    """(H, W): 1 + the position of the last mask that covers a pixel, 0 where none does."""
    flat = np.zeros(height * width, dtype=np.int32)  # column-major, as the runs are
    for number, rle in enumerate(rles, start=1):
        runs = geo.runs_of_rle(rle)
        runs = runs[: len(runs) // 2 * 2]  # up to the last one inside
        if len(runs):
            inside = np.repeat(np.arange(1, len(runs)) % 2 == 1, runs[1:])
            start = int(runs[0])
            np.copyto(flat[start : start + len(inside)], number, where=inside)
    return flat.reshape(width, height).T


def rasters(numbers: Numbers) -> dict[int, geo.Rle]:
    """The mask of each number that occurs in an (H, W) array, ascending."""
    height, width = numbers.shape
    flat = numbers.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    stops = np.append(starts[1:], flat.size)
    owner = flat[starts]
    order = np.argsort(owner, kind="stable")
    owner = owner[order]
    found = {}
    for group in np.split(order, np.flatnonzero(owner[1:] != owner[:-1]) + 1):
        edges = np.stack([starts[group], stops[group]], axis=1).ravel()
        runs = np.diff(edges, prepend=0, append=flat.size).tolist()
        # A run of length zero may stand first only.
        found[int(flat[starts[group[0]]])] = geo.rle_of_runs(
            runs if runs[-1] else runs[:-1], height, width
        )
    return found


@dataclass(frozen=True, eq=False)
class Painting:
    """What is left of an image's instances when a pixel can belong to one only.

    Attributes:
        numbers: (H, W) int32: 1 + the position in `kept`, 0 for ground, -1 for what is not
            verified, so that -1 takes the last value of a table indexed with it.
        kept: positions of the instances that have pixels left, in stacking order.
        rasters: what is left of them.
    """

    numbers: NDArray[np.int32]
    kept: tuple[int, ...]
    rasters: list[geo.Rle]


def painting(export: Export, image: ExportImage, lost: Counter[str]) -> Painting:
    """Paint the instances in stacking order, then what is not verified over them.

    Args:
        export: what the image belongs to.
        image: what is painted.
        lost: gets the number of instances for each kind of loss, see `painted_losses`.
    """
    height, width = image.record.height, image.record.width
    rles = [export.raster(image, number, one) for number, one in image.instances]
    numbers = paint(rles, height, width)
    shown = left = rasters(numbers)
    if image.verified is not None:
        numbers[~geo.mask_of_parts(image.verified, height, width)] = -1
        left = rasters(numbers)
    kept = [number for number in left if number > 0]
    for number, rle in enumerate(rles, start=1):
        kind = _loss(rle, shown.get(number), left.get(number))
        if kind:
            lost[kind] += 1
    table = np.zeros(len(rles) + 2, dtype=np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    table[-1] = -1
    return Painting(
        table[numbers], tuple(number - 1 for number in kept), [left[number] for number in kept]
    )


def _loss(stored: geo.Rle, shown: geo.Rle | None, left: geo.Rle | None) -> str:
    area, seen, rest = (0 if rle is None else geo.area_of_rle(rle) for rle in (stored, shown, left))
    if not area:
        return "empty"
    if not seen:
        return "hidden"
    if not rest:
        return "outside"
    if rest < seen:
        return "cut"
    return "covered" if seen < area else ""


def painted_losses(title: str, lost: Counter[str]) -> list[str]:
    """A sentence for each kind of loss that `painting` counted."""
    words = {
        "empty": "without a pixel",
        "hidden": "that others hide wholly",
        "outside": "outside the verified area",
        "covered": "whole, because others cover a part of each",
        "cut": "whole, because the verified area cuts each",
    }
    return [
        f"{title} cannot hold {many(lost[kind], 'instance')} {text}"
        for kind, text in words.items()
        if lost[kind]
    ]
