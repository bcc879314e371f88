"""Synthetic scenes: an image, exact visible masks, and a folder of them for the demo."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.errors import DataError
from data_io.scenes.backdrop import fixtures
from data_io.scenes.camera import CAMERAS, Camera
from data_io.scenes.cattle import herd_mesh
from data_io.scenes.herd import draw_herd
from data_io.scenes.mesh import join, without_owners
from data_io.scenes.render import (
    develop,
    floor,
    paint,
    pixels_of,
    rasterize,
    shadows,
)

Mask = NDArray[np.bool_]
MIN_VISIBLE = 30  # pixels; an animal with fewer is taken out of the scene before it is painted
SEQUENCE = 3  # consecutive frames of one herd in the demo
_JPEG_QUALITY = 90


@dataclass(frozen=True, eq=False)
class Scene:
    """One synthetic picture.

    `image` (H, W, 3) uint8 RGB; `masks` disjoint (H, W) bool, one an animal, the pixels where it is
    seen (rails in front are not part of it, so a mask may have several parts); `labels` the
    category name of each ("cow" or "calf"); `camera` the name of the camera.
    """

    image: NDArray[np.uint8]
    masks: tuple[Mask, ...]
    labels: tuple[str, ...]
    camera: str


@dataclass(frozen=True, eq=False)
class NamedScene:
    """A scene with the file name it would have and its group (the camera)."""

    name: str
    group: str
    scene: Scene


def _camera(camera: str | Camera) -> Camera:
    if isinstance(camera, Camera):
        return camera
    if camera not in CAMERAS:
        raise DataError(camera, "is no camera of the demo", f"use one of {', '.join(CAMERAS)}")
    return CAMERAS[camera]


def scene(
    seed: int, camera: str | Camera, frame: int = 0, width: int = 640, height: int = 480
) -> Scene:
    """Draw one scene; the same arguments give the same bytes.

    Args:
        seed: >= 0; which herd. The camera's backdrop does not depend on it.
        camera: a name of CAMERAS, or a Camera.
        frame: >= 0; consecutive frames show the same herd, slightly moved.
        width, height: pixels, at least 64 each.

    Returns:
        A Scene with 2 to 25 animals. An animal of which fewer than MIN_VISIBLE pixels are seen is
        left out of the picture too, so that every animal in it has a mask.

    Raises:
        DataError: unknown camera or unusable size.
    """
    view = _camera(camera)
    if min(width, height) < 64 or seed < 0 or frame < 0:
        raise DataError("scene", "size, seed or frame is too small", "ask for at least 64 x 64")
    herd = draw_herd(seed, view, frame)
    animals, casters = herd_mesh([member.animal for member in herd], coarse=view.ground == "grass")
    bars = fixtures(view)
    gone: set[int] = set()
    while True:
        raster = rasterize(join([animals, bars]) if bars else animals, view, width, height)
        pixels = pixels_of(raster)
        counts = np.bincount(pixels.owner.ravel(), minlength=len(herd) + 1)
        small = {k for k in range(1, len(herd) + 1) if counts[k] < MIN_VISIBLE} - gone
        if not small:
            break
        gone |= small
        animals, casters = without_owners(animals, small), without_owners(casters, small)
    ground = floor(view, width, height) * shadows(casters, view, width, height)[..., None]
    image = paint(raster, pixels, view, [member.coat for member in herd], ground)
    rng = np.random.default_rng([seed, zlib.crc32(view.name.encode()), frame])
    kept = [k for k in range(1, len(herd) + 1) if k not in gone]
    return Scene(
        develop(image, view, rng),
        tuple(pixels.owner == k for k in kept),
        tuple(herd[k - 1].label for k in kept),
        view.name,
    )


def demo_scenes(n: int, seed: int) -> Iterator[NamedScene]:
    """Yield n scenes: cameras in turn, each time a short sequence of near-duplicate frames."""
    cameras = list(CAMERAS)
    for k in range(n):
        clip, frame = divmod(k, SEQUENCE)
        camera = cameras[clip % len(cameras)]
        herd = seed * 1009 + clip // len(cameras)
        name = f"{camera}-{clip // len(cameras):03d}-{frame}"
        yield NamedScene(name, camera, scene(herd, camera, frame))


def write_demo(
    folder: Path, n: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> list[tuple[str, Scene]]:
    """Write n scenes as JPEG files, one folder a camera.

    Args:
        folder: made if it is missing.
        n, seed: see demo_scenes.
        progress: called with (written, n) after each file.

    Returns:
        (path relative to `folder`, with "/"; scene) of each file, in the order of demo_scenes.

    Raises:
        DataError: a file cannot be written.
    """
    written: list[tuple[str, Scene]] = []
    for named in demo_scenes(n, seed):
        relative = f"{named.group}/{named.name}.jpg"
        target = folder / relative
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        _, encoded = cv2.imencode(".jpg", named.scene.image[..., ::-1], quality)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(encoded.tobytes())
        except OSError as error:
            why = f"cannot be written ({error.strerror})"
            raise DataError(target, why, "free some space or choose another folder") from error
        written.append((relative, named.scene))
        if progress is not None:
            progress(len(written), n)
    return written
