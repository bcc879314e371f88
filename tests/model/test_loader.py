"""Batches come in order, as many ahead as asked for, with their errors where they are due."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from threading import Barrier, Event, Lock

import pytest
import torch

from model import loader
from model.dataset import LabeledBatch, UnlabeledBatch


def test_items_keep_their_order_whoever_is_ready_first() -> None:
    later_ones_are_done = Event()

    def make(k: int) -> int:
        if k == 5:
            later_ones_are_done.wait(timeout=60)
        if k == 6:
            later_ones_are_done.set()
        return k

    with closing(loader.ahead(make, 5, depth=3, workers=2)) as items:
        assert list(islice(items, 6)) == [5, 6, 7, 8, 9, 10]
    assert later_ones_are_done.is_set()


def test_workers_work_at_the_same_time() -> None:
    meeting = Barrier(3, timeout=60)

    def make(k: int) -> int:
        if k < 3:
            meeting.wait()  # breaks unless all three are inside
        return k

    with closing(loader.ahead(make, 0, depth=2, workers=3)) as items:
        assert list(islice(items, 3)) == [0, 1, 2]


def test_no_more_are_made_than_asked_for_and_closing_drops_the_rest() -> None:
    made: set[int] = set()
    lock = Lock()

    def make(k: int) -> int:
        with lock:
            made.add(k)
        return k

    with closing(loader.ahead(make, 0, depth=4, workers=1)) as items:
        assert next(items) == 0
        assert next(items) == 1
    assert {0, 1} <= made <= set(range(6))


def test_an_error_is_raised_where_its_item_is_due() -> None:
    def make(k: int) -> int:
        if k == 2:
            raise ValueError("item 2")
        return k

    items = loader.ahead(make, 0, depth=3, workers=2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="item 2"):
        next(items)


def batch() -> loader.Batch:
    image, mask = torch.rand(2, 3, 8, 8), torch.ones(2, 8, 8, dtype=torch.bool)
    return LabeledBatch(image, mask.long()), UnlabeledBatch(image + 1, image + 2, mask)


def test_a_batch_on_the_cpu_stays_what_it_is() -> None:
    labeled, more = loader.moved(loader.pinned(batch(), torch.device("cpu")), torch.device("cpu"))
    assert more is not None
    assert labeled.image.shape == more.strong.shape
    assert torch.equal(more.weak + 1, more.strong)
    assert loader.moved((labeled, None), torch.device("cpu"))[1] is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_batch_reaches_the_device_from_pinned_memory_in_its_layout() -> None:
    labeled, more = batch()
    image = labeled.image.contiguous(memory_format=torch.channels_last)
    pinned = loader.pinned((LabeledBatch(image, labeled.label), more), torch.device("cuda"))
    assert pinned[0].image.is_pinned()
    moved = loader.moved(pinned, torch.device("cuda"))
    assert moved[0].image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(moved[0].image.cpu(), image)
