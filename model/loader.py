"""Batches made ahead of the one that is learned, in threads: OpenCV and torch release the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2
import torch
from torch import Tensor

from model.dataset import LabeledBatch, UnlabeledBatch
from model.instance_losses import AnimalLabels

T = TypeVar("T")
Batch = tuple[LabeledBatch, UnlabeledBatch | None]


def ahead(
    make: Callable[[int], T], first: int, depth: int, workers: int
) -> Generator[T, None, None]:
    """``make(first)``, ``make(first + 1)`` and so on, in this order, for ever.

    Args:
        make: called in `workers` threads at once, so it must not depend on what it made before.
        depth: how many are made, or being made, beyond the one that is asked for.

    An error of `make` is raised where its item is due. Closing the iterator waits for the items
    being made and drops those that nobody began.
    """
    cv2.setNumThreads(1)  # these threads are enough; OpenCV's own take cores from the network
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="batches")
    try:
        waiting: deque[Future[T]] = deque(pool.submit(make, first + k) for k in range(depth))
        following = first + depth
        while True:
            waiting.append(pool.submit(make, following))
            following += 1
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def changed(batch: LabeledBatch, change: Callable[[Tensor], Tensor]) -> LabeledBatch:
    """The batch with every tensor changed."""
    animals = batch.animals and AnimalLabels(*map(change, batch.animals))
    return LabeledBatch(change(batch.image), change(batch.label), animals)


def pinned(batch: Batch, device: torch.device) -> Batch:
    """The batch in memory that a CUDA device reads while the CPU goes on; else as it is."""
    if device.type != "cuda":
        return batch
    labeled, more = batch
    labeled = changed(labeled, lambda part: part.pin_memory())
    if more is None:
        return labeled, None
    parts = (part.pin_memory() for part in (more.weak, more.strong, more.valid))
    return labeled, UnlabeledBatch(*parts)


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device; from pinned memory without waiting for the copy."""
    labeled, more = batch
    labeled = changed(labeled, lambda part: part.to(device, non_blocking=True))
    if more is None:
        return labeled, None
    parts = (part.to(device, non_blocking=True) for part in (more.weak, more.strong, more.valid))
    return labeled, UnlabeledBatch(*parts)
