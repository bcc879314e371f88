"""What tests of several rooms share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from model.onnx_session import CACHE


@pytest.fixture(scope="session", autouse=True)
def _exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All tests of a run share what they export, and leave the user's own cache alone."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, os.environ.get(CACHE) or str(folder / "exports"))
        yield


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
