from __future__ import annotations

import csv
import json
from pathlib import Path

from model.training_log import COLUMNS, KEYS, TrainingLog


def rows(log: TrainingLog) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def cells(log: TrainingLog) -> list[dict[str, str]]:
    with log.table.open(newline="") as stream:
        return list(csv.DictReader(stream))


def begun(folder: Path, step: int = 0) -> TrainingLog:
    log = TrainingLog(folder)
    log.begin(step)
    return log


def test_every_line_has_every_key(tmp_path: Path) -> None:
    log = begun(tmp_path)
    log.say("hello", step=3)
    log.step(force=True, loss=float("nan"), step=4)
    first, second = rows(log)
    assert set(first) == set(second) == set(KEYS)
    assert (first["message"], first["step"], second["step"]) == ("hello", 3, 4)
    assert second["loss"] is None
    assert isinstance(first["time"], float)


def test_the_table_has_a_row_for_each_line_about_a_step(tmp_path: Path) -> None:
    log = begun(tmp_path)
    log.say("hello", step=0)
    log.step(force=True, step=1, phase="semi", loss=0.5, lr_heads=1.234567e-9, reliable=None)
    log.step(force=True, step=2, phase="semi", loss=float("inf"))
    first, second = cells(log)
    assert tuple(first) == COLUMNS
    assert (first["step"], first["phase"], first["loss"]) == ("1", "semi", "0.5")
    assert float(first["lr_heads"]) == 1.234567e-9
    assert (first["reliable"], second["loss"], second["step"]) == ("", "", "2")


def test_a_resumed_table_has_each_step_once(tmp_path: Path) -> None:
    log = begun(tmp_path)
    for step in (1, 2, 3, 10):
        log.step(force=True, step=step)
    with log.table.open("a") as stream:
        stream.write("2,se")  # torn: no step 2 and no step 20
    again = begun(tmp_path, step=2)
    again.step(force=True, step=3)
    assert [row["step"] for row in cells(again)] == ["1", "2", "3"]
    assert log.table.read_text().count("step,") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "log.jsonl"]


def test_a_silent_log_writes_nothing(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, silent=True)
    log.begin(0)
    log.say("hello")
    log.step(force=True, step=1)
    assert not list(tmp_path.iterdir())


def test_steps_in_quick_succession_are_thinned_out(tmp_path: Path) -> None:
    log = begun(tmp_path)
    log._last = float("inf")
    log.step(step=1)
    assert not log.path.exists()
    log.step(force=True, step=2)
    assert [row["step"] for row in rows(log)] == [2]
    assert [row["step"] for row in cells(log)] == ["2"]


def test_a_torn_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step"')
    begun(tmp_path).say("resumed")
    lines = path.read_text().splitlines()
    assert lines[1] == '{"step"'
    assert json.loads(lines[2])["message"] == "resumed"
