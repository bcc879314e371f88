"""What every label format speaks: labels in, labels out, and what was refused, repaired or lost.

A format is two functions. A reader turns a file or folder nobody trusts into a `LabelFile`; a
writer turns an `Export` into a draft that its own reader must read back to the rasters the writer
promised (see `export.py`, which checks that before anything is put in place).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from data_io.errors import DataError
from data_io.geometry import Rle, rle_of_parts
from data_io.images import EXTENSIONS, MAX_PIXELS, MAX_SIDE, list_images, size_of
from data_io.types import Category, ImageRecord, Instance, Parts

Outlines = Literal["polygons", "rle"]


# --- labels in ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FileCategory:
    """A category as the file has it; `Instance.category` of its instances is `key`."""

    key: str
    name: str
    extras: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False)
class FileImage:
    """An image as the file has it.

    Attributes:
        key: what sentences call it, e.g. ``image 3``.
        file_name: relative, forward slashes, no `..`; see `safe_name`.
        width: pixels, as the file claims; the importer compares it with the picture.
        height: pixels.
        instances: in stacking order, later on top; ids are fresh.
        verified: the area the file vouches for; None = the whole image, () = nothing.
        complete: False when an instance was refused: what is left is not all there is.
        extras: unknown keys, for the way out.
    """

    key: str
    file_name: str
    width: int
    height: int
    instances: tuple[Instance, ...] = ()
    verified: Parts | None = None
    complete: bool = True
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Repair:
    """Something wrong that could be put right: what it was, and what was done about it."""

    file: str
    index: str
    field: str
    why: str
    done: str

    def sentence(self) -> str:
        """``file, index, field: why; done.``, leaving out what is empty."""
        place = ", ".join(part for part in (self.file, self.index, self.field) if part)
        return f"{place}: {self.why}; {self.done}."

    def as_dict(self) -> dict[str, str]:
        """The row of a `repaired` list in the command line's JSON answers."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class LabelFile:
    """What could be read, a sentence for all that could not, and for all that was put right."""

    categories: tuple[FileCategory, ...]
    images: tuple[FileImage, ...]
    refused: tuple[DataError, ...] = ()
    repaired: tuple[Repair, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A picture that labels belong to: its name as in `FileImage.file_name`, its size."""

    name: str
    width: int
    height: int


class Pictures(Protocol):
    """Where readers look up pictures whose name or size their format does not say."""

    def find(self, name: str) -> Picture | None:
        """The picture of a file name, or of a name without its extension; None = there is none.

        Raises:
            DataError: it is there but cannot be read, or the name fits several pictures.
        """
        ...

    def expect(self, names: Sequence[str]) -> None:
        """The reader will speak of these pictures: they can be looked at while it reads on."""
        ...


Reader = Callable[[Path, Pictures], LabelFile]


def safe_name(text: str) -> str | None:
    """A relative file name with forward slashes; None when it leads out of its folder."""
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        return None
    name = PurePosixPath(text.strip().replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or re.match(r"[A-Za-z]:", str(name)):
        return None
    return str(name) if name.name else None


def possible_size(width: int, height: int) -> bool:
    """Whether an image of this size can be handled at all."""
    return 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and width * height <= MAX_PIXELS


class PicturesInFolders:
    """Pictures in the first of some folders that has them."""

    def __init__(
        self, folders: Sequence[Path], expect: Callable[[Sequence[str]], None] = lambda names: None
    ) -> None:
        self._folders, self.expect = folders, expect
        self._stems: dict[str, list[tuple[Path, str]]] | None = None

    def find(self, name: str) -> Picture | None:
        """See `Pictures.find`; names with folders are tried first, then the bare name."""
        for candidate in dict.fromkeys((name, PurePosixPath(name).name)):
            if PurePosixPath(name).suffix.lower() in EXTENSIONS:
                for folder in self._folders:
                    if folder.joinpath(candidate).is_file():
                        return self._picture(folder / candidate, candidate)
            found = self._by_stem(candidate)
            if found is not None:
                return self._picture(*found)
        return None

    def _by_stem(self, stem: str) -> tuple[Path, str] | None:
        if self._stems is None:
            self._stems = {}
            for folder in self._folders:
                for path in list_images(folder) if folder.is_dir() else ():
                    relative = PurePosixPath(path.relative_to(folder).as_posix())
                    for key in dict.fromkeys((str(relative.with_suffix("")), relative.stem)):
                        self._stems.setdefault(key, []).append((path, str(relative)))
        found = list(dict(self._stems.get(stem, [])).items())
        if len(found) > 1:
            names = " and ".join(one for _, one in found[:2])
            raise DataError(stem, f"the name fits {names}", "give each picture its own name")
        return found[0] if found else None

    @staticmethod
    def _picture(path: Path, name: str) -> Picture:
        return Picture(name, *size_of(path))


# --- labels out -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ExportImage:
    """One image of an export; each instance with its stable annotation id >= 1.

    Attributes:
        record: the image.
        instances: (annotation id, instance) in stacking order, later on top.
        verified: the area a person vouches for; None = the whole image.
    """

    record: ImageRecord
    instances: Sequence[tuple[int, Instance]]
    verified: Parts | None = None


@dataclass(frozen=True, eq=False)
class Export:
    """Everything a writer needs.

    Attributes:
        images: what goes in; images without instances too.
        names: the file name of each image, relative, forward slashes, unique.
        categories: all categories that instances refer to, in the project's order.
        outlines: polygons where the format can, or run lengths (COCO alone).
    """

    images: Sequence[ExportImage]
    names: Sequence[str]
    categories: Sequence[Category]
    outlines: Outlines = "polygons"
    _rasters: dict[int, Rle] = field(default_factory=dict, init=False, repr=False)

    def raster(self, image: ExportImage, number: int, instance: Instance) -> Rle:
        """The raster of an exported instance, made once."""
        if number not in self._rasters:
            size = image.record.height, image.record.width
            self._rasters[number] = rle_of_parts(instance.parts, *size)
        return self._rasters[number]

    def pictures(self) -> Pictures:
        """The export's own pictures, for reading a draft back."""
        return _PicturesOfExport(self)


class _PicturesOfExport:
    def __init__(self, export: Export) -> None:
        self._found: dict[str, Picture] = {}
        for image, name in zip(export.images, export.names, strict=True):
            picture = Picture(name, image.record.width, image.record.height)
            self._found[name] = picture
            self._found.setdefault(str(PurePosixPath(name).with_suffix("")), picture)

    def find(self, name: str) -> Picture | None:
        return self._found.get(name)

    def expect(self, names: Sequence[str]) -> None:
        pass


@dataclass(frozen=True, eq=False)
class Written:
    """What a writer promises about its draft.

    Attributes:
        expected: image file name -> rasters its reader gives back, in order. For exact formats the
            stored rasters; where a format cannot hold something (an overlap), what is left.
        losses: what the format cannot hold of this export, one sentence each without a full stop.
    """

    expected: dict[str, list[Rle]]
    losses: tuple[str, ...] = field(default=())


Writer = Callable[[Path, Export], Written]
