"""Tubes: the one primitive of a scene. An animal is a few of them, a rail is one.

Convention: world coordinates are metres, x to the right, y away from the camera's foot, z up, the
ground at z = 0. B counts animals, N stations along a tube, M points around it, Q quads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]  # float32 unless said otherwise
Ints = NDArray[np.int32]

ATTRIBUTES = 6  # normal x, y, z; metres along the tube; turn around it [0, 1); height above ground


@dataclass(frozen=True, eq=False)
class Mesh:
    """Quads to draw.

    `corners` (Q, 4, 3) metres; `attributes` (Q, 4, 6), see ATTRIBUTES; `part` (Q,) which part of
    the body or which material; `owner` (Q,) 0 for fixtures, k for the k-th animal (k >= 1).
    """

    corners: Floats
    attributes: Floats
    part: Ints
    owner: Ints


@lru_cache(maxsize=64)
def spline(stations: int, steps: int) -> Floats:
    """(S, N) weights of a Catmull-Rom curve through N stations, `steps` samples between two."""
    t = np.linspace(0, stations - 1, (stations - 1) * steps + 1)
    first = np.minimum(t.astype(int), stations - 2)
    u = t - first
    basis = np.stack(
        [
            -0.5 * u**3 + u**2 - 0.5 * u,
            1.5 * u**3 - 2.5 * u**2 + 1,
            -1.5 * u**3 + 2 * u**2 + 0.5 * u,
            0.5 * u**3 - 0.5 * u**2,
        ]
    )
    weights = np.zeros((len(t), stations), np.float32)
    for k in range(4):
        column = np.clip(first + k - 1, 0, stations - 1)
        np.add.at(weights, (np.arange(len(t)), column), basis[k])
    return weights


@lru_cache(maxsize=64)
def grid_quads(stations: int, around: int) -> Ints:
    """(Q, 4) vertex numbers of an (N, M + 1) grid, counter-clockwise seen from outside."""
    index = np.arange(stations * (around + 1), dtype=np.int32).reshape(stations, around + 1)
    quads = [index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]]
    return np.stack(quads, axis=-1).reshape(-1, 4)


def _unit(vectors: Floats) -> Floats:
    length = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    return (vectors / np.maximum(length, 1e-6)).astype(np.float32)


def cross(a: Floats, b: Floats) -> Floats:
    """Cross product over the last axis; numpy's own is several times slower on small arrays."""
    result = np.empty(np.broadcast(a, b).shape, np.float32)
    result[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    result[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    result[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return result


def tube(
    centers: Floats, radii: Floats, side: Floats, around: int, steps: int, ridge: float = 0.0
) -> tuple[Floats, Floats]:
    """Sweep an ellipse along a smooth curve.

    Args:
        centers: (B, N, 3) metres.
        radii: (B, N, 2) half width (along `side`) and half height.
        side: (B, N, 3) what "sideways" means at each station; need not be a unit vector.
        around: points around the tube; the seam lies on the lower side.
        steps: samples between two stations.
        ridge: how much narrower the upper side is than the lower, 0 to 0.5.

    Returns:
        vertices (B, S, M + 1, 3) and attributes (B, S, M + 1, 6).
    """
    weights = spline(centers.shape[1], steps)
    curve, size, hint = weights @ centers, np.maximum(weights @ radii, 0.004), weights @ side
    tangent = _unit(np.gradient(curve, axis=1))
    lateral = _unit(hint - (hint * tangent).sum(-1, keepdims=True) * tangent)
    upward = cross(tangent, lateral)
    turn = np.linspace(-np.pi, np.pi, around + 1, dtype=np.float32)
    up = np.cos(turn)
    out = np.sin(turn) * (1 - ridge * np.maximum(up, 0) ** 2)
    wide = (size[..., :1] * out)[..., None] * lateral[:, :, None]
    high = (size[..., 1:] * up)[..., None] * upward[:, :, None]
    vertices = (curve[:, :, None] + wide + high).astype(np.float32)
    along = np.gradient(vertices, axis=1)
    ring = np.empty_like(vertices)
    ring[:, :, 1:-1] = vertices[:, :, 2:] - vertices[:, :, :-2]
    ring[:, :, 0] = ring[:, :, -1] = vertices[:, :, 1] - vertices[:, :, -2]
    step = np.sqrt((np.diff(curve, axis=1) ** 2).sum(-1))
    metres = np.concatenate([np.zeros_like(step[:, :1]), np.cumsum(step, axis=1)], axis=1)
    attributes = np.empty((*vertices.shape[:3], ATTRIBUTES), np.float32)
    attributes[..., :3] = _unit(cross(along, ring))
    attributes[..., 3] = metres[:, :, None]
    attributes[..., 4] = np.linspace(0, 1, around + 1, dtype=np.float32)
    attributes[..., 5] = vertices[..., 2]
    return vertices, attributes


def mesh_of_grid(vertices: Floats, attributes: Floats, part: int, owners: Ints) -> Mesh:
    """Quads of B tubes of the same shape; tube b belongs to `owners[b]`."""
    count, stations, columns = vertices.shape[:3]
    quads = grid_quads(stations, columns - 1)
    corners = vertices.reshape(count, -1, 3)[:, quads].reshape(-1, 4, 3)
    values = attributes.reshape(count, -1, ATTRIBUTES)[:, quads].reshape(-1, 4, ATTRIBUTES)
    owner = np.repeat(owners, len(quads)).astype(np.int32)
    return Mesh(corners, values, np.full(len(owner), part, np.int32), owner)


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of several."""
    return Mesh(
        np.concatenate([m.corners for m in meshes]),
        np.concatenate([m.attributes for m in meshes]),
        np.concatenate([m.part for m in meshes]),
        np.concatenate([m.owner for m in meshes]),
    )


def without_owners(mesh: Mesh, owners: set[int]) -> Mesh:
    """The mesh with some animals taken away."""
    keep = ~np.isin(mesh.owner, sorted(owners))
    return Mesh(mesh.corners[keep], mesh.attributes[keep], mesh.part[keep], mesh.owner[keep])
