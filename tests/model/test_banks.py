from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from model.banks import MemoryBanks, capacities

GENERATOR = torch.Generator().manual_seed(0)


def test_ring_keeps_the_newest_keys() -> None:
    banks = MemoryBanks([5], 2)
    vectors = F.normalize(torch.randn(12, 2, generator=GENERATOR), dim=1)
    banks.push(0, vectors[:3] * 7)
    torch.testing.assert_close(banks.keys(0), vectors[:3])
    banks.push(0, vectors[3:7])
    torch.testing.assert_close(banks.keys(0), vectors[2:7])
    banks.push(0, vectors)
    torch.testing.assert_close(banks.keys(0), vectors[7:])
    banks.push(0, vectors[:0])
    assert banks.counts == [5]


def test_restored_banks_continue_as_the_originals() -> None:
    banks, other = MemoryBanks([4, 4], 3), MemoryBanks([4, 4], 3)
    banks.push(0, torch.randn(6, 3, generator=GENERATOR))
    banks.push(1, torch.randn(2, 3, generator=GENERATOR))
    other.restore(banks.state())
    more = torch.randn(3, 3, generator=GENERATOR)
    for b in (banks, other):
        b.push(0, more)
        b.push(1, more)
    for c in range(2):
        torch.testing.assert_close(banks.keys(c), other.keys(c))
        draws = [b.draw(c, (5, 2), torch.Generator().manual_seed(1)) for b in (banks, other)]
        torch.testing.assert_close(draws[0], draws[1])


@pytest.mark.parametrize("head", [0, 3, 5])
def test_pushed_rows_equal_pushed_vectors_across_the_end_of_the_ring(head: int) -> None:
    vectors = F.normalize(torch.randn(6, 2, generator=GENERATOR), dim=1)
    order = torch.tensor([4, 0, 0, 5])
    banks, other = MemoryBanks([5], 2), MemoryBanks([5], 2)
    for b in (banks, other):
        b.push(0, vectors[:head])
    banks.push_rows(0, vectors, order)
    other.push(0, vectors[order])
    torch.testing.assert_close(banks.keys(0), other.keys(0))
    expected = torch.cat([vectors[:head], vectors[order]])[-5:]
    torch.testing.assert_close(banks.keys(0), expected)


def test_cleared_banks_are_empty() -> None:
    banks = MemoryBanks([4], 2)
    banks.push(0, torch.randn(3, 2))
    banks.clear()
    assert banks.counts == [0]
    assert len(banks.keys(0)) == 0


def test_the_background_of_many_classes_gets_more_rows() -> None:
    assert capacities(3, 300) == [300, 300, 300]
    assert capacities(20, 300) == [500] + [300] * 19
