"""Draw a scene: quads back to front into a buffer of quad numbers, then shade what is visible.

The buffer has 2 x 2 samples a pixel. Edges are averaged over the four samples; an animal's mask is
the pixels where it holds most samples. So image and masks come from the same raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data_io.scenes.backdrop import backdrop, fixtures, ground_mask
from data_io.scenes.camera import Camera
from data_io.scenes.cattle import TRUNK
from data_io.scenes.coats import Coat, skin
from data_io.scenes.ground import smooth
from data_io.scenes.mesh import Floats, Ints, Mesh

_SHIFT = 3  # OpenCV's fixed point: 1 / 8 of a sample
_MATERIAL_COLOR = np.array([[0.60, 0.61, 0.62], [0.40, 0.31, 0.22], [0.45, 0.45, 0.44]], np.float32)


@dataclass(frozen=True, eq=False)
class Raster:
    """`quad` (2H, 2W) int32 number of the visible quad, -1 = backdrop; `planes` (Q, 6, 3): each
    attribute is c0 + c1 x + c2 y at pixel coordinates (x, y); `part`, `owner` (Q,)."""

    quad: Ints
    planes: Floats
    part: Ints
    owner: Ints


@dataclass(frozen=True, eq=False)
class Pixels:
    """A raster seen pixel by pixel.

    `owner` (H, W) the animal holding most samples, 0 = none; `quad` (H, W) the quad of the first
    sample, -1 = backdrop; `mixed` (y, x) of the n pixels on an edge and `four` (n, 4) their quads.
    """

    owner: Ints
    quad: Ints
    mixed: tuple[NDArray[np.intp], NDArray[np.intp]]
    four: Ints


def pixels_of(raster: Raster) -> Pixels:
    """Vote on the owner of each pixel (ties: the first sample) and find the edges."""
    buffer = raster.quad
    corners = [buffer[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    first = np.ascontiguousarray(corners[0])
    differ = (first != corners[1]) | (first != corners[2]) | (first != corners[3])
    y, x = np.nonzero(differ)
    four = np.stack([c[y, x] for c in corners], axis=1)
    animals = np.append(np.maximum(raster.owner, 0), 0).astype(np.int32)
    owner = animals[first]
    key = np.append(raster.owner * 64 + raster.part, -1)[four]
    edge = (key[:, 0] != key[:, 1]) | (key[:, 0] != key[:, 2]) | (key[:, 0] != key[:, 3])
    y, x, four = y[edge], x[edge], four[edge]
    voters = animals[four]
    votes = sum((voters == voters[:, k : k + 1]).astype(np.int8) for k in range(4))
    best = np.argmax(votes, axis=1)[:, None]
    owner[y, x] = np.take_along_axis(voters, best, 1)[:, 0]
    return Pixels(owner, first, (y, x), four)


def _middle(corners: Floats) -> Floats:
    """(Q, 4, ...) -> (Q, ...); numpy's mean over an axis of four is several times slower."""
    middle: Floats = (corners[:, 0] + corners[:, 1] + corners[:, 2] + corners[:, 3]) * np.float32(
        0.25
    )
    return middle


def _planes(pixels: Floats, values: Floats) -> Floats:
    """Least-squares plane of each attribute over a quad's corners: (Q, 4, 2), (Q, 4, 6)."""
    middle = _middle(pixels)[:, None]
    offset = pixels - middle
    xx = np.einsum("qk,qk->q", offset[..., 0], offset[..., 0]) + 0.4
    yy = np.einsum("qk,qk->q", offset[..., 1], offset[..., 1]) + 0.4
    xy = np.einsum("qk,qk->q", offset[..., 0], offset[..., 1])
    mean = _middle(values)
    moment = np.einsum("qkd,qka->qda", offset, values - mean[:, None])
    scale = 1 / (xx * yy - xy * xy)
    across = (yy[:, None] * moment[:, 0] - xy[:, None] * moment[:, 1]) * scale[:, None]
    down = (xx[:, None] * moment[:, 1] - xy[:, None] * moment[:, 0]) * scale[:, None]
    base = mean - across * middle[:, 0, :1] - down * middle[:, 0, 1:]
    return np.stack([base, across, down], axis=-1).astype(np.float32)


def rasterize(mesh: Mesh, camera: Camera, width: int, height: int) -> Raster:
    """Project, drop what faces away or lies outside, draw back to front."""
    pixels, depth = camera.project(mesh.corners, width, height)
    one, two = pixels[:, 2] - pixels[:, 0], pixels[:, 3] - pixels[:, 1]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    middle, distance = _middle(pixels), _middle(depth)
    reach = np.abs(one).max(1) + np.abs(two).max(1)  # generous: more than half a quad
    across = np.abs(middle[:, 0] - width / 2) < width / 2 + reach
    down = np.abs(middle[:, 1] - height / 2) < height / 2 + reach
    chosen = np.flatnonzero((area > 0) & across & down & (distance > 0.5))
    chosen = chosen[np.argsort(-distance[chosen], kind="stable")]
    buffer = np.full((2 * height, 2 * width), -1, np.int32)
    _fill(buffer, pixels[chosen] * 2 - 0.5, range(len(chosen)))
    planes = _planes(pixels[chosen], mesh.attributes[chosen])
    return Raster(buffer, planes, mesh.part[chosen], mesh.owner[chosen])


def _fill(buffer: NDArray[np.generic], pixels: Floats, values: range | list[int]) -> None:
    """Fill (Q, 4, 2) convex quads one after the other."""
    fixed = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
    fill = cv2.fillConvexPoly
    for corners, value in zip(fixed, values, strict=True):
        fill(buffer, corners, value, 8, _SHIFT)


def shadows(mesh: Mesh, camera: Camera, width: int, height: int) -> Floats:
    """(H, W) share of light left on the ground: cast shadows and darkness under bodies."""
    small = (width // 2, height // 2)
    normal = _middle(mesh.attributes[:, :, :3])
    light = camera.light.direction()
    cast = _shadow(mesh.corners[normal @ light > 0], light, camera, small)
    trunk = (mesh.part == TRUNK) & (normal[:, 2] > 0)
    under = _shadow(mesh.corners[trunk], np.array([0, 0, 1], np.float32), camera, small)
    metre = camera.focal * small[0] / _distance(camera)
    soft = max(0.6, camera.light.softness * metre)
    cast = cv2.GaussianBlur(cast, (0, 0), soft)
    near = cv2.GaussianBlur(under, (0, 0), max(0.8, 0.12 * metre))
    wide = cv2.GaussianBlur(under, (0, 0), max(1.0, 0.38 * metre))
    left = (1 - camera.light.share * cast) * (1 - 0.38 * near) * (1 - 0.28 * wide)
    left = cv2.resize(left, (width, height), interpolation=cv2.INTER_LINEAR)
    ground = _ground(camera, width, height)
    result: Floats = 1 - (1 - left) * ground
    return result


@lru_cache(maxsize=16)
def floor(camera: Camera, width: int, height: int) -> Floats:
    """(H, W, 3) the backdrop with the shadows of rails and posts on it, which never move."""
    empty = backdrop(camera, width, height)
    bars = fixtures(camera)
    if bars is None:
        return empty
    size = (2 * width, 2 * height)
    cast = _shadow(bars.corners, camera.light.direction(), camera, size)
    cast = cv2.resize(cast, (width, height), interpolation=cv2.INTER_AREA)
    soft = max(0.6, 0.4 * camera.light.softness * camera.focal * width / _distance(camera))
    cast = cv2.GaussianBlur(cast, (0, 0), soft) * _ground(camera, width, height)
    lit: Floats = empty * (1 - 0.8 * camera.light.share * cast)[..., None]
    return lit


@lru_cache(maxsize=16)
def _ground(camera: Camera, width: int, height: int) -> Floats:
    return ground_mask(camera, width, height)


def _distance(camera: Camera) -> float:
    """Metres from the camera to the middle of the pen."""
    x0, x1, y0, y1 = camera.pen
    return float(np.hypot(np.hypot((x0 + x1) / 2, (y0 + y1) / 2), camera.height))


def _shadow(corners: Floats, light: Floats, camera: Camera, size: tuple[int, int]) -> Floats:
    drop = corners[..., 2:] / max(float(light[2]), 0.2)
    flat = corners - drop * light
    pixels, depth = camera.project(flat.astype(np.float32), *size)
    keep = _middle(depth) > 0.5
    buffer = np.zeros((size[1], size[0]), np.float32)
    _fill(buffer, np.clip(pixels[keep], -900, 2000) - 0.5, [1] * int(keep.sum()))
    return buffer


def _shade(raster: Raster, camera: Camera, coats: list[Coat], quad: Ints, at: Floats) -> Floats:
    """(n, 3) lit colors of samples of `quad` (n,) at pixel coordinates (n, 2)."""
    plane = raster.planes[quad]
    values = plane[..., 0] + plane[..., 1] * at[:, :1] + plane[..., 2] * at[:, 1:]
    normal = (
        values[:, :3] / np.sqrt(np.einsum("ni,ni->n", values[:, :3], values[:, :3]) + 1e-9)[:, None]
    )
    along, turn, up = values[:, 3], np.clip(values[:, 4], 0, 1), values[:, 5]
    owner, part = raster.owner[quad], raster.part[quad]
    color = _MATERIAL_COLOR[np.clip(part - 16, 0, 2)]
    animal = np.flatnonzero(owner > 0)
    color[animal] = skin(
        coats, owner[animal] - 1, part[animal], along[animal], turn[animal], up[animal]
    )
    return _light(camera, color, normal, up, part >= 16)


def _light(
    camera: Camera, color: Floats, normal: Floats, up: Floats, metal: NDArray[np.bool_]
) -> Floats:
    """Wrapped key light, sky from above, a little bounce from the ground, sheen on the back."""
    light = camera.light.direction()
    key = np.clip((normal @ light + 0.25) / 1.25, 0, 1)
    sky = 0.5 + 0.5 * normal[:, 2]
    bounce = np.clip(-normal[:, 2], 0, 1) * 0.14
    occlusion = 0.55 + 0.45 * smooth(0.0, 0.75, up + 0.5 * np.maximum(normal[:, 2], 0))
    share = camera.light.share
    share = np.float32(share)
    tint = np.array(camera.light.color, np.float32)
    amount = 1.30 * share * key[:, None] * tint + (1.05 - share) * (sky**1.3)[:, None]
    lit = color * ((amount + bounce[:, None]) * occlusion[:, None] + 0.03)
    view = -camera.axes()[2]
    half = (light + view) / np.linalg.norm(light + view)
    gloss = np.clip(normal @ half, 0, 1) ** np.where(metal, np.float32(24), np.float32(9))
    return lit + (np.where(metal, np.float32(0.22), np.float32(0.055)) * gloss)[:, None]


def paint(
    raster: Raster, pixels: Pixels, camera: Camera, coats: list[Coat], ground: Floats
) -> Floats:
    """(H, W, 3) float32 picture: `ground` (H, W, 3) with animals and fixtures over it."""
    image = ground.copy()
    covered = pixels.quad >= 0
    covered[pixels.mixed] = False
    y, x = np.nonzero(covered)
    center = np.stack([x, y], 1).astype(np.float32) + 0.5
    fresh, first = _distinct(raster, pixels.four)
    corner = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]], np.float32)
    edge = np.stack(pixels.mixed[::-1], 1)[:, None]
    places = (edge + corner).astype(np.float32)
    lit = _shade(
        raster, camera, coats,
        np.concatenate([pixels.quad[y, x], pixels.four[fresh]]),
        np.concatenate([center, places[fresh]]),
    )  # fmt: skip
    image[y, x] = lit[: len(y)]
    samples = np.repeat(ground[pixels.mixed][:, None], 4, axis=1)
    samples[fresh] = lit[len(y) :]
    row = np.arange(len(first))
    total = sum(samples[row, first[:, k]] for k in range(4))
    image[pixels.mixed] = total * np.float32(0.25)
    return image


def _distinct(raster: Raster, four: Ints) -> tuple[NDArray[np.bool_], Ints]:
    """Which samples of an edge pixel to shade: one for each animal's part, not all four.

    Returns (n, 4) bool, the samples to shade, and (n, 4) the sample each one takes its color from.
    """
    key = np.append(raster.owner * 64 + raster.part, -1)[four]
    first = np.zeros(four.shape, np.int32)
    for k in range(1, 4):
        first[:, k] = k
        for earlier in range(k - 1, -1, -1):
            first[key[:, k] == key[:, earlier], k] = earlier
    return (first == np.arange(4)) & (four >= 0), first


@lru_cache(maxsize=16)
def _falloff(camera: Camera, width: int, height: int) -> Floats:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = np.hypot((x + 0.5) / width - 0.5, ((y + 0.5) / height - 0.5) * height / width) / 0.62
    factor = camera.exposure * (1 - camera.vignette * np.clip(radius, 0, 1) ** 2)
    tint = np.ones(3) if camera.infrared else np.array(camera.tint)
    return (factor[..., None] * tint).astype(np.float32)


@lru_cache(maxsize=2)
def _grain(infrared: bool) -> Floats:
    """Sensor noise is drawn once and shifted: drawing it for each image is the slowest step."""
    rng = np.random.default_rng(91)
    grain = rng.standard_normal((2_000_003, 3), np.float32)
    return np.repeat(grain[:, :1], 3, axis=1) if infrared else grain


def develop(image: Floats, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lens and sensor: infra-red look, vignette, blur, noise, 8 bits."""
    height, width = image.shape[:2]
    if camera.infrared:
        grey = image @ np.array([0.45, 0.35, 0.2], np.float32)
        image = np.repeat((grey**0.85)[..., None], 3, axis=2)
    image = cv2.GaussianBlur(image * _falloff(camera, width, height), (0, 0), camera.blur)
    grain = _grain(camera.infrared)
    count = height * width
    start = int(rng.integers(0, max(1, len(grain) - count)))
    noise = grain[start : start + count] if count < len(grain) else np.resize(grain, (count, 3))
    image = np.clip(image, 0, 1)
    image *= np.float32(1 + camera.lift) - np.float32(camera.lift) * image
    image += np.float32(camera.noise) * noise.reshape(height, width, 3)
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
