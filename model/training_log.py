"""The durable logs of a training job, for people (``log.jsonl``) and for plots (``log.csv``).

``log.jsonl`` tells what happened, one JSON object a line, and is only appended to: steps that an
interruption lost and a resumed job repeats are told twice. ``log.csv`` has the same steps as a
table, each once; what is after the checkpoint goes when the job resumes.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from pathlib import Path
from typing import Any

KEYS = (
    *("time", "step", "steps", "phase", "loss", "loss_supervised", "loss_unsupervised"),
    *("loss_contrastive", "loss_instances", "reliable", "val_iou", "eta", "message"),
)
COLUMNS = (
    *("step", "phase", "loss", "loss_supervised", "loss_unsupervised", "loss_contrastive"),
    *("loss_instances", "val_iou"),  # on a few validation images, in some of the rows
    # seconds since the job began, interruptions left out; crops learned a second
    *("reliable", "lr_encoder", "lr_heads", "seconds", "images_per_second"),
)
EVERY_SECONDS = 1.0  # between two lines about steps


class TrainingLog:
    """Appends to both files of a job folder; a value that is not known is null, or an empty cell.

    Args:
        silent: write nothing; of processes that train together one writes.
    """

    def __init__(self, job: Path, *, silent: bool = False) -> None:
        self.path, self.table = job / "log.jsonl", job / "log.csv"
        self.silent = silent
        self._last = 0.0

    def begin(self, step: int) -> None:
        """Go on after a step: mend a torn last line, drop the table's rows after the step."""
        if self.silent:
            return
        _close_torn_line(self.path)
        kept = [",".join(COLUMNS) + "\n", *_rows_until(self.table, step)]
        draft = self.table.with_name(self.table.name + ".new")
        draft.write_text("".join(kept), encoding="utf-8")
        os.replace(draft, self.table)

    def say(self, message: str, **values: Any) -> None:
        """A line for people, always written."""
        self._write({**values, "message": message})

    def step(self, *, force: bool = False, **values: Any) -> None:
        """A line about a step; skipped when the last one is younger than a second."""
        if force or time.monotonic() - self._last >= EVERY_SECONDS:
            self._last = time.monotonic()
            self._write(values)
            self._append(self.table, _csv_line([_cell(values.get(name)) for name in COLUMNS]))

    def _write(self, values: dict[str, Any]) -> None:
        row = {key: _plain(values.get(key)) for key in KEYS}
        row["time"] = time.time()
        self._append(self.path, json.dumps(row) + "\n")

    def _append(self, path: Path, line: str) -> None:
        if not self.silent:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(line)


def _close_torn_line(path: Path) -> None:
    """A process killed while writing leaves half a line; the next one starts below it."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as stream:
            stream.seek(-1, 2)
            if stream.read() != b"\n":
                stream.write(b"\n")


def _rows_until(table: Path, step: int) -> list[str]:
    """The whole rows of the table about steps up to `step`, without the heading."""
    if not table.exists():
        return []
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    numbers = [line.partition(",")[0] for line in lines]
    return [
        line
        for line, number in zip(lines, numbers, strict=True)
        if line.endswith("\n") and number.isdecimal() and int(number) <= step
    ]


def _csv_line(cells: list[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):  # rates are small: significant digits, not decimals
        return f"{value:.7g}" if math.isfinite(value) else None
    return value


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
