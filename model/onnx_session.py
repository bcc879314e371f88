"""How every network of ours is opened in ONNX Runtime on the CPU."""

from __future__ import annotations

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
