"""The robot annotator: real mouse and key events on the served app, held against the stored raster.

The study of ten scenes each is ``python -m benchmarks.robot``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.robot import measured, run
from benchmarks.robot_scenes import make

pytestmark = [pytest.mark.browser, pytest.mark.long]

SEED = 505  # few animals, and every kind of mistake


@pytest.mark.parametrize("correcting", [False, True])
def test_a_person_s_work_is_stored(
    live_server: Any, page: Any, tmp_path: Path, correcting: bool
) -> None:
    project = tmp_path / "herd"
    tasks = make(project, 1, SEED, proposed=correcting)
    page.goto(live_server(project))
    page.set_default_timeout(60_000)
    done = measured(project, tasks, run(page, tasks, correcting, SEED))
    assert done["iou_median"] >= 0.95
    assert done["iou_lowest"] >= 0.85
    assert done["animals_too_many"] == 0
    assert done["categories_right"] == 1
    assert done["iou_before"] < 0.9
