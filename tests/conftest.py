"""What tests of several rooms share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def as_before() -> Iterator[None]:
    """For trainings inside the test process: gives its handlers and threads back afterwards."""
    import torch  # late: most tests need not load it

    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for number, handler in kept.items():
        signal.signal(number, handler)
