"""Memory banks: the negatives of past steps, a ring of unit vectors for every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

MANY_CLASSES = 20  # from here on the paper's rule needs no companion


class MemoryBanks:
    """Q_c: one ring of unit vectors a class; the newest keys overwrite the oldest (Eq. 16)."""

    def __init__(
        self, capacities: Sequence[int], channels: int, device: torch.device | str = "cpu"
    ) -> None:
        self.rings = [torch.zeros(n, channels, device=device) for n in capacities]
        self.counts = [0] * len(self.rings)  # filled rows
        self.heads = [0] * len(self.rings)  # next row to write

    def push(self, c: int, keys: Tensor) -> None:
        """Store (n, D) keys; of more than the ring holds, the last ones."""
        keys = F.normalize(keys.detach().to(self.rings[c]), dim=1)
        self.push_rows(c, keys, torch.arange(len(keys), device=keys.device))

    def push_rows(self, c: int, keys: Tensor, rows: Tensor) -> None:
        """Store those (n,) rows of unit vectors (K, D), without a copy in between."""
        ring, head = self.rings[c], self.heads[c]
        rows = rows[-len(ring) :]
        until_end = min(len(rows), len(ring) - head)
        for part, start in ((rows[:until_end], head), (rows[until_end:], 0)):
            if len(part):
                torch.index_select(keys, 0, part, out=ring[start : start + len(part)])
        self.heads[c] = (head + len(rows)) % len(ring)
        self.counts[c] = min(len(ring), self.counts[c] + len(rows))

    def clear(self) -> None:
        """Forget all keys."""
        self.counts, self.heads = [0] * len(self.rings), [0] * len(self.rings)

    def keys(self, c: int) -> Tensor:
        """All stored keys of a class (n, D), oldest first."""
        ring, head = self.rings[c], self.heads[c]
        if self.counts[c] < len(ring):
            return ring[: self.counts[c]]
        return torch.cat([ring[head:], ring[:head]])

    def draw(self, c: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Rows of a class's ring drawn with replacement, int64."""
        rows = torch.randint(self.counts[c], shape, generator=generator)
        return rows.to(self.rings[c].device)

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores: the filled rows of each ring, where they lie."""
        filled = zip(self.rings, self.counts, strict=True)
        return {"keys": [r[:n].cpu().clone() for r, n in filled], "heads": list(self.heads)}

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `state`; later pushes and draws behave as if nothing had happened."""
        for c, keys in enumerate(state["keys"]):
            self.rings[c][: len(keys)] = keys.to(self.rings[c])
            self.counts[c], self.heads[c] = len(keys), int(state["heads"][c])


def capacities(classes: int, size: int) -> list[int]:
    """Rows of each ring; with many classes the background gets 5/3 of them, as published."""
    background = size * 5 // 3 if classes >= MANY_CLASSES else size
    return [background] + [size] * (classes - 1)
