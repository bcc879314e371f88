"""The files of a training job: ``config.json`` in, ``result.json`` or ``error.json`` out."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

from data_io.atomic import file_sha256
from data_io.errors import DataError
from model.config import TrainConfig
from model.training_state import Progress
from model.validation import degenerate

DONE, FAILED, STOPPED = 0, 1, 3  # exit codes


def read_spec(job: Path) -> dict[str, Any]:
    """``config.json`` of a job.

    Raises:
        DataError: there is none, or it names no snapshot.
    """
    try:
        spec = json.loads((job / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(job / "config.json", "cannot be read", "start a new job") from error
    if not isinstance(spec, dict) or not spec.get("snapshot"):
        raise DataError(job / "config.json", "names no snapshot", "start a new job")
    return spec


def write_result(
    job: Path,
    kept: str,
    metrics: dict[str, Any],
    message: str,
    progress: Progress,
    config: TrainConfig,
) -> None:
    """``result.json``, last of all."""
    bad = degenerate(metrics)
    if bad:
        message += "; it finds next to no animal"
    result = {
        "steps": progress.total_step,
        "kept": kept,
        "metrics": metrics,
        "degenerate": bad,
        "message": message,
        "weights_sha256": file_sha256(job / "version" / "weights.safetensors"),
        "config": config.as_dict(),
        "seconds": round(progress.seconds, 1),
    }
    draft = job / "result.json.new"
    draft.write_text(json.dumps(result, indent=1), encoding="utf-8")
    draft.replace(job / "result.json")


def fail(job: Path, sentence: str) -> int:
    """Leave the sentence in ``error.json`` (stderr when even that is impossible).

    The first sentence stays: of processes that train together the others fail for want of one.
    """
    print(sentence, file=sys.stderr)
    try:
        with (job / "error.json").open("x", encoding="utf-8") as stream:
            json.dump({"error": sentence}, stream)
    except FileExistsError:
        pass
    except OSError:
        print("error.json could not be written either", file=sys.stderr)
    return FAILED


def disk_sentence(job: Path, error: OSError) -> str:
    """What the disk or the file system refused, in words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{job}: the disk is full; the last checkpoint is intact, free some space and resume"
            " the job."
        )
    return (
        f"{error.filename or job}: {error.strerror or error}; check the folder and resume the job."
    )
