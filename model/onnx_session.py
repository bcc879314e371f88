"""How every network of ours is opened in ONNX Runtime on the CPU, and exported for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import platformdirs

from data_io.atomic import write_atomic
from data_io.errors import DataError

CACHE = "HERDMARK_CACHE"  # environment variable: folder of exports instead of the user's own cache


def open_session(
    path: Path, threads: int | None, refusal: DataError
) -> onnxruntime.InferenceSession:
    """A session of an ONNX file.

    Args:
        threads: None lets the runtime decide.
        refusal: what is raised where the file cannot be read.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Idle workers would otherwise spin on the cores that serve people and training.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no public base class
        raise refusal from error


def export_once(module: str, sources: Sequence[Path], path: Path, what: str) -> Path:
    """`path`; where it is missing, what this user has exported before, else exported now.

    Args:
        module, sources: it is run as ``python -m MODULE SOURCES FILE``, see `export_aside`.
        path: its name tells it from any other network.

    Raises:
        DataError: the export failed.
        StoreError: the disk is full or cannot be written.
    """
    if path.is_file():
        return path
    kept = _cache(path.parent) / path.name
    if not _is_sound(kept):
        export_aside(module, [*sources, kept], kept, what)
    if kept != path:
        write_atomic(path, kept.read_bytes())
    return path


def _cache(otherwise: Path) -> Path:
    """Where exports are kept for all projects of this user, if anything can be kept there."""
    folder = Path(os.environ.get(CACHE) or platformdirs.user_cache_path("herdmark", False))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return otherwise
    return folder if os.access(folder, os.W_OK) else otherwise


def _is_sound(path: Path) -> bool:
    """Whether a file is there and opens: deleting a project's copy must bring a good one."""
    try:
        open_session(path, 1, DataError(path, "is no network", "it is exported anew"))
    except DataError:
        return False
    return True


def export_aside(module: str, arguments: Sequence[Path], path: Path, what: str) -> None:
    """Run ``python -m MODULE ARGUMENTS``, which exports `what` to `path`.

    The export needs torch, which takes seconds to load and much memory to keep, so it has a process
    of its own.

    Raises:
        DataError: the export failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode or not path.is_file():
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataError(path, f"{what} could not be exported ({said})", "try again")
