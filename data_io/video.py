"""Video in: frames at a rate, turned as the file says, and the pictures they become.

A frame has its index in the video and its time in seconds; both stay what they are whatever the
rate, so that frames taken at another rate later lie beside the earlier ones.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# FFmpeg writes what it thinks of a damaged file to stderr, where ours is to be the only sentence.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
import cv2

from data_io.atomic import PARTIAL, file_sha256, write_atomic
from data_io.errors import DataError
from data_io.images import MAX_PIXELS, MAX_SIDE

EXTENSIONS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg"})
MAX_FRAMES = 100_000  # pictures of one video
JPEG_QUALITY = 95
MARKER = "video.json"  # says whose frames a folder holds
_MAX_RATE = 10_000.0
_WHOLE = 0.9  # with less than this share of the frames it announces, a video is broken off
_MOST_BOXES = 100_000
_MP4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STARTS = (b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")  # Matroska, MPEG twice

Kind = Literal["jpg", "png"]


class _BrokenOff(DataError):
    """A video that ends too early; its last frame may be cut through."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself.

    Attributes:
        width: pixels, after rotation. height: likewise.
        fps: frames a second.
        frames: how many; many containers only estimate it, 0 = not said.
        seconds: frames / fps.
    """

    width: int
    height: int
    fps: float
    frames: int
    seconds: float


def probe(path: str | Path) -> VideoInfo:
    """Open a video and decode its first frame, to be sure that it can be read.

    Raises:
        DataError: missing, empty, no video, damaged or too large.
    """
    video = Path(path)
    with _opened(video) as capture:
        rate, count = _rate(video, capture), _count(capture)
        if not capture.grab():
            raise _damaged(video)
        height, width = _decoded(video, capture, 0).shape[:2]
        return VideoInfo(width, height, rate, count, count / rate)


def frames(path: str | Path, fps: float = 0.0) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """Frames nearest to the times k / `fps`, in order of time.

    Args:
        path: the video.
        fps: frames a second; 0, or more than the video has, gives every frame.

    Yields:
        (index in the video from 0 on, seconds, (H, W, 3) uint8 RGB after rotation).

    Raises:
        DataError: as `probe`; at its end, for a video that breaks off early; a negative rate.
    """
    video = Path(path)
    with _opened(video) as capture:
        for index, seconds in _wanted(video, capture, fps):
            yield index, seconds, cv2.cvtColor(_decoded(video, capture, index), cv2.COLOR_BGR2RGB)


def extract(
    path: str | Path,
    folder: str | Path,
    fps: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
    kind: Kind = "jpg",
) -> list[Path]:
    """Write frames to ``folder/<stem of the video>/<index, six digits>.jpg`` (or ``.png``).

    Order of names is order of time. A picture is there whole or not at all, and one that is there
    is kept, so that an interrupted extraction goes on where it stopped. Where the folder of that
    name holds something else, the video's hash and the format are added to the name.

    Args:
        path: the video.
        folder: where the video gets its folder.
        fps: as in `frames`.
        progress: called with (pictures done, all as far as known).
        stop: asked before every picture; True ends the extraction early.
        kind: ``jpg`` has quality 95, ``png`` loses nothing.

    Returns:
        The pictures in order of time, those that were there included.

    Raises:
        DataError: as `frames`; too many frames. What was written before a video broke off stays.
        StoreError: the disk is full or cannot be written.
    """
    video = Path(path)
    total = _expected(probe(video), fps)
    if total > MAX_FRAMES:
        raise _too_many(video)
    target = _claim(Path(folder), video, kind)
    pictures: list[Path] = []
    try:
        with _opened(video) as capture:
            for index, _ in _wanted(video, capture, fps):
                if stop is not None and stop():
                    break
                if len(pictures) >= MAX_FRAMES:
                    raise _too_many(video)
                picture = target / f"{index:06d}.{kind}"
                if not picture.is_file():
                    write_atomic(picture, _encoded(_decoded(video, capture, index), kind))
                pictures.append(picture)
                if progress is not None:
                    progress(len(pictures), max(total, len(pictures)))
    except _BrokenOff as error:
        pictures[-1].unlink(missing_ok=True)
        raise DataError(video, error.why, f"{error.remedy}, or import {target}") from error
    return pictures


# --- reading --------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    _check_file(path)
    # FFmpeg alone, and a path from the root: other backends and FFmpeg itself give names like
    # `frame%d.avi` or `concat:a` a meaning of their own.
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        if not capture.isOpened():
            raise _damaged(path)
        width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
        height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
            why = f"its frames have more than {MAX_PIXELS / 1e6:.0f} million pixels"
            raise DataError(path, why, "scale it down")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield capture
    finally:
        capture.release()


def _check_file(path: Path) -> None:
    """By its first bytes: FFmpeg would also follow playlists, which name other files."""
    if not path.is_file():
        raise DataError(path, "there is no such file", "check the path")
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError as error:
        raise DataError(path, "the file cannot be read", "check its permissions") from error
    if not head:
        raise DataError(path, "the file is empty", "copy it again from its source")
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    if not (is_avi or head[4:8] in _MP4 or head.startswith(_STARTS)):
        why = "this is not an MP4, MOV, AVI, Matroska, WebM or MPEG video, whatever its name says"
        raise DataError(path, why, "remove it or convert it")


def _damaged(path: Path) -> DataError:
    why = "the video is truncated or damaged, or its codec is unknown"
    return DataError(path, why, "copy it again from its source, or convert it to MP4 (H.264)")


def _rate(path: Path, capture: cv2.VideoCapture) -> float:
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    if not 0 < rate <= _MAX_RATE:
        raise DataError(path, "the video does not say its frame rate", "convert it to MP4 (H.264)")
    return rate


def _count(capture: cv2.VideoCapture) -> int:
    count = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return int(count) if 0 < count < 1e12 else 0


def _wanted(path: Path, capture: cv2.VideoCapture, fps: float) -> Iterator[tuple[int, float]]:
    """(index, seconds) of each frame to take, which is then grabbed but not yet decoded."""
    if not fps >= 0:
        raise DataError(path, f"{fps:g} frames a second cannot be taken", "give 0 or more")
    rate, count = _rate(path, capture), _count(capture)
    every = not 0 < fps < rate
    half, next_one, index = 0.5 / rate, 0, 0
    while capture.grab():
        seconds = _seconds(capture, index, rate)
        if every or seconds + half >= next_one / fps:
            yield index, seconds
            if not every:
                next_one = max(next_one + 1, math.floor((seconds + half) * fps) + 1)
        index += 1
    if not index:
        raise _damaged(path)
    if index < _WHOLE * count and not _is_trimmed(path):
        why = f"the video breaks off after {index} of {count} frames"
        raise _BrokenOff(path, why, "copy it again from its source")


def _is_trimmed(path: Path) -> bool:
    """Whether an MP4 is all there: it then shows fewer frames than it has because it says so.

    Phones trim with an edit list (ISO 14496-12, 8.6.6). Of a file that was cut off, the last box
    reaches beyond the end.
    """
    size, place = path.stat().st_size, 0
    with path.open("rb") as stream:
        for _ in range(_MOST_BOXES):
            stream.seek(place)
            head = stream.read(16)
            if place == 0 and head[4:8] not in _MP4:
                return False
            length = int.from_bytes(head[:4], "big")
            if length == 1:  # a 64-bit size follows the name
                length = int.from_bytes(head[8:16], "big")
            if length < 8 or place + length >= size:
                whole = length == 0 or length >= 8  # 0: up to the end of the file
                return whole and place + length <= size
            place += length
    return True


def _seconds(capture: cv2.VideoCapture, index: int, rate: float) -> float:
    """Time of the frame grabbed last; by its index where the container has no times."""
    stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    return stamp if 0 < stamp < math.inf else index / rate


def _decoded(path: Path, capture: cv2.VideoCapture, index: int) -> NDArray[np.uint8]:
    """(H, W, 3) BGR of the frame grabbed last."""
    try:
        done, pixels = capture.retrieve()
    except cv2.error as error:
        raise _damaged(path) from error
    if not done or pixels.ndim != 3:
        why = "the frame cannot be decoded"
        raise DataError(path, why, "convert the video to MP4 (H.264)", index=f"frame {index}")
    return np.asarray(pixels, np.uint8)


# --- writing --------------------------------------------------------------------------------------


def _expected(info: VideoInfo, fps: float) -> int:
    """About how many frames `frames` gives, 0 = unknown."""
    return math.ceil(info.seconds * fps) if 0 < fps < info.fps else info.frames


def _too_many(path: Path) -> DataError:
    why = f"it would become more than {MAX_FRAMES} pictures"
    return DataError(path, why, "take fewer frames a second, or cut the video")


def _claim(folder: Path, video: Path, kind: Kind) -> Path:
    """The video's folder, made or found again; swept of what a kill left."""
    try:
        digest = file_sha256(video)
        marker = json.dumps({"sha256": digest, "format": kind}).encode()
        # Cameras give every day's first recording the same name.
        for target in (folder / video.stem, folder / f"{video.stem}-{digest[:8]}-{kind}"):
            for partial in target.glob(f"{PARTIAL}*"):
                partial.unlink(missing_ok=True)
            if not target.exists() or (target.is_dir() and not any(target.iterdir())):
                write_atomic(target / MARKER, marker)
                return target
            found = target / MARKER
            if found.is_file() and found.read_bytes() == marker:
                return target
    except OSError as error:
        raise DataError(folder, f"cannot be used ({error.strerror})", "check the disk") from error
    why = f"{target.name} holds other files than this video's frames"
    raise DataError(folder, why, "remove it, or extract to another folder")


def _encoded(pixels: NDArray[np.uint8], kind: Kind) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if kind == "jpg" else []
    _, content = cv2.imencode(f".{kind}", pixels, options)
    return bytes(content)
