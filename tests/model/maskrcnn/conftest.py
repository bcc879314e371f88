"""A Mask R-CNN small enough for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from model.maskrcnn import network
from tests.model.maskrcnn.tiny import CHANNELS, SWIN


@pytest.fixture(autouse=True, scope="module")
def small_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "CHANNELS", CHANNELS)
        patch.setattr(network, "SWIN", SWIN)
        yield
