"""How every network of ours is opened in ONNX Runtime on the CPU, and exported for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from data_io.errors import DataError


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


def export_once(module: str, arguments: Sequence[Path], path: Path, what: str) -> Path:
    """`path`, exported by `export_aside` where it is missing."""
    if not path.is_file():
        export_aside(module, arguments, path, what)
    return path


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
