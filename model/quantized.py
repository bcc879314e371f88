"""A version's network with an encoder in whole numbers of eight bits, and where it is used.

A CPU that adds up products of bytes exactly takes about six tenths of the time with it. Others let
such sums overflow (x86 without VNNI instructions), so it is used only where a sum comes out right.
It lies beside a version's ``model.onnx`` and is no part of it: without it, or where it is damaged,
the original answers. Made by `model.quantize`.

Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from data_io.atomic import file_sha256

QUANTIZED = "model-int8.onnx"
TOLD = "quantized.json"  # what `model.quantize` measured
LARGEST = 127  # of a weight in eight bits
TERMS = 64  # of the sum that is tried


def quantized_file(version: Path) -> Path | None:
    """The network in eight bits that stands in for ``model.onnx`` here; None = the original does.

    Args:
        version: folder of a version.
    """
    path = version / QUANTIZED
    try:
        told = json.loads((version / TOLD).read_text(encoding="utf-8"))
        whole = bool(told["kept"]) and file_sha256(path) == told["onnx_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return path if whole and sums_are_exact() else None


@functools.cache
def sums_are_exact() -> bool:
    """Whether this processor adds up the largest products of bytes without overflow."""
    sides = {"a": (1, TERMS), "b": (TERMS, 1)}
    kinds = {"a": onnx.TensorProto.UINT8, "b": onnx.TensorProto.INT8}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["a", "b"], ["sum"])],
        "sum",
        [onnx.helper.make_tensor_value_info(key, kinds[key], sides[key]) for key in sides],
        [onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.INT32, (1, 1))],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    bytes_ = np.full(sides["a"], 255, np.uint8), np.full(sides["b"], LARGEST, np.int8)
    (found,) = session.run(None, dict(zip(sides, bytes_, strict=True)))
    return int(found[0, 0]) == TERMS * 255 * LARGEST
