"""The durable log of a training job: one JSON object a line, flushed as it is written."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

KEYS = (
    *("time", "step", "steps", "phase", "loss", "loss_supervised", "loss_unsupervised"),
    *("loss_contrastive", "reliable", "val_iou", "eta", "message"),
)
EVERY_SECONDS = 1.0  # between two lines about steps


class TrainingLog:
    """Appends to ``log.jsonl``; every line has all of `KEYS`, null where nothing is to say."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = 0.0
        self._close_torn_line()

    def say(self, message: str, **values: Any) -> None:
        """A line for people, always written."""
        self._write({**values, "message": message})

    def step(self, *, force: bool = False, **values: Any) -> None:
        """A line about a step; skipped when the last one is younger than a second."""
        if force or time.monotonic() - self._last >= EVERY_SECONDS:
            self._last = time.monotonic()
            self._write(values)

    def _write(self, values: dict[str, Any]) -> None:
        row = {key: _plain(values.get(key)) for key in KEYS}
        row["time"] = time.time()
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def _close_torn_line(self) -> None:
        """A process killed while writing leaves half a line; the next one starts below it."""
        if self.path.exists() and self.path.stat().st_size:
            with self.path.open("rb+") as stream:
                stream.seek(-1, 2)
                if stream.read() != b"\n":
                    stream.write(b"\n")


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
