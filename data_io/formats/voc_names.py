"""The categories of a Pascal VOC folder: names, indices and colors.

`labelmap.txt` as CVAT writes it (https://docs.cvat.ai/docs/dataset_management/formats/)
has a line ``name:r,g,b:parts:actions`` for each category; `classes.txt` a name a line;
`classes.json` ``{"0": "name", ...}``, a list, or such a thing under the key `classes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_io.errors import DataError
from data_io.formats.labels import FileCategory
from data_io.formats.text import MAX_NAME, Entry, Found, read_json, read_text

VOID = 255
_LABELMAP = "labelmap.txt"
# fmt: off
VOC_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on
_MAX_BYTES = 1_000_000
_LINE = re.compile(r"(.+):\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*:[^:]*:[^:]*")


def _color_map() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(256, 3): bits 0, 3, 6 of an index are the top of red; 1, 4, 7 of green; 2, 5 of blue."""
    bits = np.arange(256)[:, None] >> np.arange(9) & 1
    weights = 128 >> np.arange(3)
    return (bits.reshape(256, 3, 3) * weights[:, None]).sum(axis=1).astype(np.uint8)


COLOR_MAP = _color_map()
PALETTE = COLOR_MAP.tobytes()
COLORS = {int(r) << 16 | int(g) << 8 | int(b): index for index, (r, g, b) in enumerate(COLOR_MAP)}
_VOID_COLOR = next(color for color, index in COLORS.items() if index == VOID)


@dataclass(frozen=True)
class Names:
    """What a folder says about its categories.

    Attributes:
        by_index: number in the class PNGs -> name, without background and void.
        colors: 0xRRGGBB -> number, for PNGs that hold colors.
        ground: whether 0 is background; else it is a category like the others.
        listed: the file that says so, None for VOC's own names.
        counted: whether indices are only positions in a list without a background.
    """

    by_index: Mapping[int, str]
    colors: Mapping[int, int] = field(default_factory=lambda: COLORS)
    ground: bool = True
    listed: Path | None = None
    counted: bool = False

    def from_one(self) -> Names:
        """The same list counted from 1, with 0 for background."""
        return replace(
            self, by_index={index + 1: name for index, name in self.by_index.items()}, ground=True
        )

    def categories(self, used: Iterable[int]) -> tuple[FileCategory, ...]:
        """Listed categories, or VOC's where they explain all numbers, and those without a name."""
        numbers = set(used)
        names = dict(self.by_index)
        if self.listed is None:
            fits = max(numbers, default=0) <= len(VOC_NAMES)
            names = {index: VOC_NAMES[index - 1] for index in sorted(numbers)} if fits else {}
        names.update({index: f"class {index}" for index in sorted(numbers) if index not in names})
        return tuple(FileCategory(str(index), name) for index, name in names.items())


def read_names(root: Path, found: Found) -> Names:
    """The names in the first of `labelmap.txt`, `classes.json` and `classes.txt` that is there.

    A file that cannot be read leaves its sentence in `found` and categories without names.
    """
    readers = {_LABELMAP: _labelmap, "classes.json": _classes_json, "classes.txt": _classes_txt}
    for name, read in readers.items():
        file = root / name
        if file.is_file():
            try:
                return read(file, found)
            except DataError as error:
                found.refuse(error)
                return Names({}, listed=file)
    return Names({})


def labelmap(names: Sequence[str]) -> str:
    """The text of a `labelmap.txt` with the background and then these names, from 1 on."""
    rows = zip(("background", *names), COLOR_MAP.tolist(), strict=False)
    lines = [f"{name}:{r},{g},{b}::\n" for name, (r, g, b) in rows]
    return "".join(["# label:color_rgb:parts:actions\n", *lines])


def _labelmap(file: Path, found: Found) -> Names:
    rows: list[tuple[str, int | None]] = []
    for line in read_text(file, _MAX_BYTES).split("\n"):
        match = _LINE.fullmatch(line.strip())
        if match:
            r, g, b = (min(int(text), 255) for text in match.groups()[1:])
            rows.append((match[1], r << 16 | g << 8 | b))
        elif line.strip() and not line.lstrip().startswith("#"):
            rows.append((line.strip().split(":")[0], None))
    ground = next((row for row in rows if _is_background(row[0])), None)
    if ground is not None:
        rows.remove(ground)
    rows = [row for row in rows if row[1] != _VOID_COLOR or row[0] not in ("ignored", "void")]
    colors = {color: index for index, (_, color) in enumerate(rows, start=1) if color is not None}
    if ground is not None and ground[1] is not None:
        colors[ground[1]] = 0
    colors = {0: 0, _VOID_COLOR: VOID, **colors} if colors else dict(COLORS)
    if len(rows) >= VOID:
        raise DataError(file, f"there are more than {VOID - 1} categories", "remove some")
    return Names(
        _checked(file, dict(enumerate([r[0] for r in rows], start=1)), found), colors, listed=file
    )


def _classes_json(file: Path, found: Found) -> Names:
    tree = read_json(file)
    if isinstance(tree, dict) and "classes" in tree:
        tree = tree["classes"]
    if isinstance(tree, list):
        return _listed(file, tree, found)
    if not isinstance(tree, dict):
        why = "this is neither a list of names nor an object of them"
        raise DataError(file, why, 'write {"0": "background", "1": "cow"}')
    names: dict[int, object] = {}
    for key, name in tree.items():
        if re.fullmatch(r"[0-9]{1,5}", key):
            names[int(key)] = name
        else:
            why = "the key is not a number"
            found.refuse(DataError(file, why, "write the index", index=ascii(key)[:40]))
    ground = 0 not in names or _is_background(names[0])
    if ground:
        names.pop(0, None)
    return Names(_checked(file, names, found), ground=ground, listed=file)


def _classes_txt(file: Path, found: Found) -> Names:
    lines = read_text(file, _MAX_BYTES).split("\n")
    return _listed(file, [line for line in lines if line.strip()], found)


def _listed(file: Path, names: list[Any], found: Found) -> Names:
    ground = bool(names) and _is_background(names[0])
    numbered = dict(enumerate(names))
    if ground:
        del numbered[0]
    return Names(
        _checked(file, numbered, found),
        ground=ground or not names,
        listed=file,
        counted=bool(names) and not ground,
    )


def _is_background(name: object) -> bool:
    return isinstance(name, str) and name.strip().strip("_").casefold() == "background"


def _checked(file: Path, names: Mapping[int, object], found: Found) -> dict[int, str]:
    good = {}
    for index, name in names.items():
        try:
            good[index] = Entry(file, f"class {index}", {"name": name}).text("name", MAX_NAME)
        except DataError as error:
            found.refuse(error)
    return good
