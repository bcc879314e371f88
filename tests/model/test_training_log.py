from __future__ import annotations

import json
from pathlib import Path

from model.training_log import KEYS, TrainingLog


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_line_has_every_key(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.jsonl")
    log.say("hello", step=3)
    log.step(force=True, loss=float("nan"), step=4)
    first, second = rows(log.path)
    assert set(first) == set(second) == set(KEYS)
    assert (first["message"], first["step"], second["step"]) == ("hello", 3, 4)
    assert second["loss"] is None
    assert isinstance(first["time"], float)


def test_steps_in_quick_succession_are_thinned_out(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.jsonl")
    log._last = float("inf")
    log.step(step=1)
    assert not log.path.exists()
    log.step(force=True, step=2)
    assert [row["step"] for row in rows(log.path)] == [2]


def test_a_torn_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step"')
    TrainingLog(path).say("resumed")
    lines = path.read_text().splitlines()
    assert lines[1] == '{"step"'
    assert json.loads(lines[2])["message"] == "resumed"
