"""Pictures in: find, check, decode with limits, EXIF rotation, thumbnails.

Every reader of pixels goes through here, so that an image has one size and one orientation in the
whole house, and a hostile file costs a sentence instead of the machine's memory.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from data_io.atomic import file_sha256
from data_io.errors import DataError

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
MAX_PIXELS = 100e6
MAX_SIDE = 65_500  # what a JPEG can hold, and the canvas is served JPEGs
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_STRIP = 256  # rows of deep samples that are converted at once
_DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits of a sample that cameras and their software write


@dataclass(frozen=True)
class ImageInfo:
    """A picture that decodes: absolute path, pixels after EXIF rotation, hex digest of the file."""

    path: str
    width: int
    height: int
    sha256: str


def list_images(folder: str | Path, within: str | Path | None = None) -> list[Path]:
    """Image files under a folder, by extension, sorted; hidden files and folders are skipped.

    Linked folders are followed, each real folder once, so loops end.

    Args:
        folder: where to look, recursively.
        within: when given, files that really lie elsewhere (through links) are left out.

    Raises:
        DataError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(folder, "there is no such folder", "check the path")
    limit = None if within is None else Path(within).resolve()
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in names if _is_image_name(name)]
    return sorted(path for path in found if path.is_file() and _lies_within(path, limit))


def size_of(path: str | Path) -> tuple[int, int]:
    """(width, height) after EXIF rotation, where possible from the header alone.

    Raises:
        DataError: missing, empty, no picture or too large.
    """
    _check_file(Path(path))
    with _reading(Path(path)), Image.open(path, formats=_FORMATS) as image:
        return _size(Path(path), image)


def _size(path: Path, image: Image.Image) -> tuple[int, int]:
    _check_size(path, *image.size)
    if image.format == "TIFF":  # Pillow's versions differ in what its header says when
        return _turned(image).size
    return image.size[::-1] if _orientation(image) in (5, 6, 7, 8) else image.size


def inspect(path: str | Path) -> ImageInfo:
    """Decode a picture once, to be sure that it can be read later.

    Raises:
        DataError: missing, empty, no picture, damaged or too large.
    """
    _check_file(Path(path))
    with _reading(Path(path)), Image.open(path, formats=_FORMATS) as image:
        width, height = _size(Path(path), image)
        image.draft(None, (1, 1))  # all of a JPEG is read, but not all of it is computed
        image.load()
    try:
        digest = file_sha256(Path(path))
    except OSError as error:
        raise DataError(path, "the file cannot be read", "check its permissions") from error
    return ImageInfo(str(Path(path).absolute()), width, height, digest)


def read(path: str | Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB after EXIF rotation.

    Grey samples deeper than 8 bits are scaled by the depth their largest value needs (a 12-bit
    camera writes 16-bit files), and transparent pixels are shown on black.

    Raises:
        DataError: as `inspect`.
    """
    return _rgb(_decode(Path(path)))


def thumbnail_jpeg(path: str | Path, side: int = 256) -> bytes:
    """A JPEG whose longer side is at most `side` pixels, without metadata."""
    # Twice the size: the decoder's own reduction is coarse, the rest is resampled.
    picture = Image.fromarray(_rgb(_decode(Path(path), (2 * side, 2 * side))))
    picture.thumbnail((side, side))
    return _jpeg(picture, quality=85)


def web_jpeg(path: str | Path) -> bytes:
    """The full-size picture as a JPEG any browser shows, without EXIF, GPS or other metadata."""
    return _jpeg(Image.fromarray(read(path)), quality=92)


def equalized(picture: NDArray[np.uint8], clip: int) -> NDArray[np.uint8]:
    """A picture with local contrast evened out, so that animals in dark corners can be seen.

    CLAHE (Zuiderveld 1994) on the lightness of CIE Lab, in 8 x 8 fields; colors keep their hue.

    Args:
        picture: (H, W, 3) uint8 RGB.
        clip: contrast limit, from 1 (hardly any) upwards.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    field = cv2.createCLAHE(clipLimit=float(clip), tileGridSize=(8, 8))
    lab[:, :, 0] = field.apply(np.ascontiguousarray(lab[:, :, 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)


def equalized_jpeg(path: str | Path, clip: int) -> bytes:
    """The full-size picture after `equalized`, as a JPEG without metadata.

    Raises:
        DataError: as `inspect`.
    """
    return _jpeg(Image.fromarray(equalized(read(path), clip)), quality=92)


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS


def _lies_within(path: Path, limit: Path | None) -> bool:
    return limit is None or path.resolve().is_relative_to(limit)


def _decode(path: Path, draft: tuple[int, int] | None = None) -> Image.Image:
    """All pixels, turned as EXIF says; `draft` allows a JPEG to come smaller, for thumbnails."""
    _check_file(path)
    with _reading(path), Image.open(path, formats=_FORMATS) as image:
        _check_size(path, *image.size)
        if draft is not None:
            image.draft(None, draft)
        image.load()
        return _turned(image)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises over a file into a sentence."""
    try:
        yield
    except DataError:
        raise
    except UnidentifiedImageError as error:
        why = "this is not a JPEG, PNG, WebP, TIFF or BMP image, whatever its name says"
        raise DataError(path, why, "remove it or convert it") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        why = "the image is truncated or damaged"
        raise DataError(path, why, "copy it again from its source") from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(path, "there is no such file", "check the path")
    if path.stat().st_size == 0:
        raise DataError(path, "the file is empty", "copy it again from its source")


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _too_large(path)


def _too_large(path: Path) -> DataError:
    why = f"the image has more than {MAX_PIXELS / 1e6:.0f} million pixels or {MAX_SIDE} on a side"
    return DataError(path, why, "cut it into tiles or scale it down")


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 where there is none that can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # unreadable EXIF says nothing about the pixels, which are fine
        return 1


def _turned(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable EXIF says nothing about the pixels, which are fine
        return image.copy()


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F" or image.mode.startswith("I"):
        grey = _eight_bits(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, (0, 0, 0, 255)), clear)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _eight_bits(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(H, W) of any number type -> uint8, scaled by the bit depth the largest sample needs."""
    white = _white(samples)
    if samples.dtype.kind in "ui" and int(samples.min(initial=0)) >= 0 and white < 1 << 16:
        table = np.rint(np.clip(np.arange(1 << 16) / white, 0.0, 1.0) * 255).astype(np.uint8)
        return np.asarray(table[samples.astype(np.uint16, copy=False)])
    grey = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), _STRIP):  # whole frames of floats would fill the memory
        rows = _finite(samples[top : top + _STRIP])
        grey[top : top + _STRIP] = np.rint(np.clip(rows / white, 0.0, 1.0) * 255)
    return grey


def _white(samples: NDArray[np.generic]) -> float:
    """The value that becomes 255."""
    largest = max(
        (
            float(_finite(samples[top : top + _STRIP]).max(initial=0.0))
            for top in range(0, len(samples), _STRIP)
        ),
        default=0.0,
    )
    if samples.dtype.kind == "f" and largest <= 1.0:
        return 1.0
    return next((2.0**bits - 1 for bits in _DEPTHS if largest < 2.0**bits), largest)


def _finite(samples: NDArray[np.generic]) -> NDArray[np.float64]:
    values = samples.astype(np.float64)
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
