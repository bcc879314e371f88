"""The cameras of the demo farm: where they hang, what they look at and how their pictures look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from data_io.scenes.mesh import Floats

GroundKind = Literal["straw", "mud", "grass", "slats"]
Material = Literal["steel", "wood", "wire"]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Bar:
    """A rail, post, pipe or wire from `start` to `end`, metres."""

    start: Point
    end: Point
    radius: float
    material: Material = "steel"


@dataclass(frozen=True)
class Light:
    """Key light: compass `azimuth` it comes from, `elevation` above ground (radians), its share of
    all light, its color and how soft its shadows are (metres)."""

    azimuth: float
    elevation: float
    share: float
    color: Point = (1.0, 1.0, 1.0)
    softness: float = 0.12

    def direction(self) -> Floats:
        """(3,) unit vector towards the light."""
        flat = np.cos(self.elevation)
        vector = (
            flat * np.cos(self.azimuth),
            flat * np.sin(self.azimuth),
            np.sin(self.elevation),
        )
        return np.array(vector, np.float32)


@lru_cache(maxsize=64)
def _axes(pitch: float, yaw: float) -> Floats:
    cp, sp, cy, sy = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    right = np.array([cy, sy, 0.0])
    forward = np.array([-sy * cp, cy * cp, -sp])
    return np.stack([right, np.cross(forward, right), forward]).astype(np.float32)


@dataclass(frozen=True)
class Camera:
    """A fixed pinhole camera; one camera is one group.

    `height` metres above (0, 0); `pitch` downwards and `yaw` to the left of +y, radians; `focal`
    in image widths. `pen` x0, x1, y0, y1 is where animals may be. `feed` is the y of a feeding
    rail (with a feed lane behind it), `wall` the y of the back wall. `herd` is the range of
    animals. `breeds` weights holstein, red holstein, black, brown, dun. `exposure` multiplies,
    `lift` (0 to 1) brightens middle tones; `noise` is in shares of white, `blur` in pixels.
    """

    name: str
    height: float
    pitch: float
    focal: float
    ground: GroundKind
    pen: tuple[float, float, float, float]
    light: Light
    yaw: float = 0.0
    feed: float | None = None
    wall: float | None = None
    bars: tuple[Bar, ...] = ()
    herd: tuple[int, int] = (3, 12)
    breeds: tuple[float, float, float, float, float] = (5, 1, 1, 1, 1)
    infrared: bool = False
    exposure: float = 1.0
    lift: float = 0.35
    tint: Point = (1.0, 1.0, 1.0)
    vignette: float = 0.25
    blur: float = 0.5
    noise: float = 0.012

    def axes(self) -> Floats:
        """(3, 3) rows right, down, forward in world coordinates."""
        return _axes(self.pitch, self.yaw)

    def project(self, points: Floats, width: int, height: int) -> tuple[Floats, Floats]:
        """(..., 3) metres -> (..., 2) pixel coordinates (x, y) and (...) depth in metres."""
        seen = (points - np.array([0, 0, self.height], np.float32)) @ self.axes().T
        depth = np.maximum(seen[..., 2], 0.05)
        pixels = seen[..., :2] * (np.float32(self.focal * width) / depth)[..., None]
        pixels += np.array([width / 2, height / 2], np.float32)
        return pixels, depth

    def rays(self, width: int, height: int) -> Floats:
        """(H, W, 3) world direction through each pixel center, not normalised."""
        x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / (self.focal * width)
        y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / (self.focal * width)
        local = np.ones((height, width, 3), np.float32)
        local[..., 0], local[..., 1] = x[None], y[:, None]
        return local @ self.axes()


def _rails(
    y: float, x0: float, x1: float, heights: tuple[float, ...], every: float
) -> tuple[Bar, ...]:
    rails = [Bar((x0, y, z), (x1, y, z), 0.035) for z in heights]
    posts = [
        Bar((float(x), y + 0.03, 0), (float(x), y + 0.03, heights[0] + 0.1), 0.05)
        for x in np.arange(x0 + every / 2, x1, every)
    ]
    return (*rails, *posts)


def _fence(y: float, x0: float, x1: float) -> tuple[Bar, ...]:
    posts = [
        Bar((float(x), y, 0), (float(x), y, 1.35), 0.065, "wood")
        for x in np.arange(x0 + 1.3, x1, 3.1)
    ]
    return (*posts, *[Bar((x0, y, z), (x1, y, z), 0.016, "wire") for z in (0.5, 0.85, 1.2)])


_DOWN = np.pi / 2
_CAMERAS = (
    Camera(
        "ceiling-straw", 7.2, _DOWN - 0.06, 0.70, "straw", (-5.0, 5.0, -4.6, 3.3),
        Light(2.4, 0.95, 0.45, (1.0, 0.97, 0.90), 0.22), feed=3.0,
        bars=(*_rails(3.0, -8, 8, (1.42,), 2.4), Bar((-8, -1.5, 3.4), (8, -0.9, 3.4), 0.05)),
        herd=(4, 13), tint=(1.03, 1.0, 0.95), noise=0.014,
    ),
    Camera(
        "corner-pen", 4.3, 0.50, 0.72, "straw", (-5.5, 6.0, 4.9, 12.4),
        Light(0.5, 0.75, 0.5, (1.0, 0.96, 0.88), 0.16), yaw=0.16, wall=13.6,
        bars=_rails(4.4, -9, 9, (1.25, 0.85, 0.45), 2.6), herd=(5, 18),
        breeds=(6, 2, 1, 1, 0), tint=(1.02, 1.0, 0.96),
    ),
    Camera(
        "pasture-pole", 4.6, 0.235, 1.10, "grass", (-12, 12, 9.6, 30),
        Light(3.6, 0.72, 0.62, (1.0, 0.98, 0.92), 0.06), bars=_fence(9.0, -16, 16),
        herd=(8, 25), breeds=(4, 1, 3, 2, 2), vignette=0.12, blur=0.4, noise=0.008,
    ),
    Camera(
        "ceiling-slats", 6.4, _DOWN, 0.72, "slats", (-4.7, 4.7, -4.4, 3.6),
        Light(0.4, 0.80, 0.5, (0.96, 0.98, 1.0), 0.2),
        bars=(
            Bar((1.3, -6, 3.0), (1.3, 6, 3.0), 0.035),
            Bar((1.16, -6, 2.9), (1.16, 6, 2.9), 0.02),
        ),
        herd=(3, 12), breeds=(6, 2, 1, 1, 1), tint=(0.96, 1.0, 1.04),
    ),
    Camera(
        "mud-yard", 6.0, 0.78, 0.80, "mud", (-4.8, 4.8, 3.0, 9.8),
        Light(2.9, 0.55, 0.62, (1.0, 0.93, 0.80), 0.07), yaw=-0.12, feed=9.9,
        bars=_rails(9.9, -12, 12, (1.35, 0.55), 2.2), herd=(4, 16), breeds=(2, 1, 2, 4, 3),
        tint=(1.04, 1.0, 0.94), exposure=1.15,
    ),
    Camera(
        "night-infrared", 6.8, _DOWN - 0.10, 0.70, "straw", (-4.8, 4.8, -4.4, 3.6),
        Light(1.57, 1.35, 0.55, softness=0.1), herd=(3, 10),
        bars=(Bar((-8, 1.0, 2.9), (8, 0.8, 2.9), 0.04),),
        infrared=True, vignette=0.75, blur=0.8, noise=0.03, exposure=1.1,
    ),
)  # fmt: skip

CAMERAS: dict[str, Camera] = {camera.name: camera for camera in _CAMERAS}
