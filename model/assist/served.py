"""A refiner's weights as something that answers quickly: ONNX Runtime, without torch.

``python -m model.assist.served WEIGHTS FILE`` exports; `answer_file` does that once for each file
of weights, in a process of its own, because torch takes seconds to load and much memory to keep.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_io.atomic import file_sha256, write_atomic
from data_io.errors import DataError
from model.assist import WEIGHTS
from model.assist.crops import SIDE
from model.onnx_session import export_once, open_session

GENERAL = Path(__file__).with_name(WEIGHTS)  # from `model.assist.recipe`
CHANNELS = 6
REMEDY = "delete the file; it is made again, by the next training where it was a version's"

Floats = NDArray[np.float32]


class Served:
    """Answers a crop; may be asked from several threads.

    Args:
        path: file of `answer_file`.
        threads: of ONNX Runtime; None lets it decide.

    Raises:
        DataError: the file is damaged.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        refusal = DataError(path, "is no network ONNX Runtime can read", REMEDY)
        self._session = open_session(path, threads, refusal)

    def __call__(self, crop: Floats) -> Floats:
        """Logits (side, side) of a crop (6, side, side), see `model.assist.network.Refiner`."""
        said = self._session.run(["mask"], {"crop": crop[None]})
        return np.asarray(said[0][0, 0], np.float32)


def answer_file(weights: Path, folder: Path) -> Path:
    """The exported file of these weights in a folder, made when it is missing.

    Raises:
        DataError: the weights are missing or damaged, or the export failed.
    """
    if not weights.is_file():
        raise DataError(weights, "there are no weights of the refiner", "install the project anew")
    path = exported(weights, folder)
    return export_once("model.assist.served", [weights], path, "the refiner")


def exported(weights: Path, folder: Path) -> Path:
    """Where the exported file of these weights lies in a folder, or will lie."""
    return folder / f"refiner-{file_sha256(weights)[:12]}.onnx"


def export(weights: Path, path: Path) -> None:
    """Write ``crop`` (1, 6, side, side) -> ``mask`` (1, 1, side, side), logits.

    The side is any multiple of `crops.MULTIPLE`.

    Raises:
        DataError: the weights are damaged.
        StoreError: the disk is full or cannot be written.
    """
    import torch

    from model.assist.training import load

    network, buffer = load(weights).eval(), io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.zeros(1, CHANNELS, SIDE, SIDE),),
            buffer,  # type: ignore[arg-type]
            input_names=["crop"],
            output_names=["mask"],
            dynamic_axes={name: {2: "height", 3: "width"} for name in ("crop", "mask")},
            opset_version=17,
            dynamo=False,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
