"""Any promptable network of the SAM family as an ONNX pair: an encoder and a decoder.

MobileSAM, EdgeSAM and SAM (Kirillov et al. 2023, arXiv:2304.02643) are exported with a decoder that
takes ``image_embeddings``, ``point_coords``, ``point_labels``, ``mask_input``, ``has_mask_input``
and ``orig_im_size``; SAM 2 (Ravi et al. 2024, arXiv:2408.00714) with ``image_embed``, two
``high_res_feats_*`` and no size. The first kind keeps an image's aspect and pads it right and
below, the second stretches it to a square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from data_io.errors import DataError
from model.assist.clicks import Click
from model.onnx_session import open_session

POINTS = {"point_coords", "point_labels", "mask_input", "has_mask_input"}
SIZE = "orig_im_size"
MASK = 256  # side of the mask that a decoder takes
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # of ImageNet, in bytes
_STD = np.array([58.395, 57.12, 57.375], np.float32)
_CORNERS, _PADDING = (2.0, 3.0), -1.0  # labels of a box's corners, and of no point
REMEDY = "choose the two files of an exported SAM, MobileSAM, EdgeSAM or SAM 2 in the settings"

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Embedding(NamedTuple):
    """What an encoder says of an image; `values` by the names that the decoder gives them."""

    values: Mapping[str, Floats]
    height: int
    width: int


class Answered(NamedTuple):
    """A mask (H, W), and the logits (256, 256) that the next click starts from."""

    mask: Mask
    logits: Floats


class SamPair:
    """An encoder and a decoder; may be asked from several threads.

    Args:
        encoder, decoder: ONNX files.
        threads: None lets the runtime decide.

    Raises:
        DataError: a file is missing, damaged, or not of that family.
    """

    def __init__(self, encoder: Path, decoder: Path, threads: int | None = None) -> None:
        self._encoder, self._decoder = (_session(file, threads) for file in (encoder, decoder))
        taken = {one.name for one in self._decoder.get_inputs()}
        if not taken >= POINTS:
            lacking = ", ".join(sorted(POINTS - taken))
            raise DataError(decoder, f"is no decoder of a SAM: it does not take {lacking}", REMEDY)
        given = [one.name for one in self._encoder.get_outputs()]
        features = [one for one in taken if one not in POINTS and one != SIZE]
        if len(features) == 1 == len(given):
            self._names = dict(zip(given, features, strict=True))
        elif set(features) <= set(given):
            self._names = {name: name for name in features}
        else:
            why = f"gives {', '.join(given)}, but its decoder takes {', '.join(sorted(features))}"
            raise DataError(encoder, why, REMEDY)
        picture = self._encoder.get_inputs()[0]
        if len(picture.shape) != 4 or not isinstance(picture.shape[-1], int):
            raise DataError(encoder, "is no encoder of a SAM: it takes no square image", REMEDY)
        self._picture, self._side = picture.name, int(picture.shape[-1])
        self._keeps_aspect = SIZE in taken

    def embed(self, image: Bytes) -> Embedding:
        """Look at an image (H, W, 3) uint8 RGB: about a second on two cores."""
        height, width = image.shape[:2]
        x, y = self._scale(height, width)
        size = (max(1, round(width * x)), max(1, round(height * y)))
        scaled = cv2.resize(
            image, size, interpolation=cv2.INTER_AREA if x < 1 else cv2.INTER_LINEAR
        )
        padded = np.zeros((self._side, self._side, 3), np.float32)
        padded[: size[1], : size[0]] = (scaled - _MEAN) / _STD
        batch = {self._picture: padded.transpose(2, 0, 1)[None]}
        seen = self._encoder.run(list(self._names), batch)
        return Embedding(dict(zip(self._names.values(), seen, strict=True)), height, width)

    def answer(
        self,
        seen: Embedding,
        clicks: Sequence[Click],
        box: tuple[float, float, float, float] | None = None,
        before: Floats | None = None,
    ) -> Answered:
        """The animal that clicks and a box (left, top, right, bottom) mean, image pixels.

        Args:
            before: logits (256, 256) of the answer so far, or of `logits_of`.
        """
        x, y = self._scale(seen.height, seen.width)
        points = [(c.x * x, c.y * y) for c in clicks]
        labels = [float(c.positive) for c in clicks]
        if box is not None:
            points += [(box[0] * x, box[1] * y), (box[2] * x, box[3] * y)]
            labels += _CORNERS
        else:  # the exported decoders want a point that is none where there is no box
            points.append((0.0, 0.0))
            labels.append(_PADDING)
        given = np.zeros((MASK, MASK), np.float32) if before is None else before
        told: dict[str, Any] = {
            **seen.values,
            "point_coords": np.array([points], np.float32),
            "point_labels": np.array([labels], np.float32),
            "mask_input": given[None, None],
            "has_mask_input": np.array([before is not None], np.float32),
        }
        if self._keeps_aspect:
            told[SIZE] = np.array([seen.height, seen.width], np.float32)
        return self._read(self._decoder.run(None, told), seen)

    def _read(self, said: Sequence[Floats], seen: Embedding) -> Answered:
        names = [one.name for one in self._decoder.get_outputs()]
        by_name: dict[str, Floats] = dict(zip(names, said, strict=True))
        masks, quality = by_name["masks"], by_name["iou_predictions"]
        best = int(quality[0].argmax())
        fine = masks[0, best]
        low = by_name.get("low_res_masks", masks)[0, best]
        if not self._keeps_aspect:
            size = (seen.width, seen.height)
            fine = cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR)
        return Answered(np.asarray(fine > 0, np.bool_), np.asarray(low, np.float32))

    def logits_of(self, mask: Mask) -> Floats:
        """(256, 256) logits that say a mask (H, W) as an answer would."""
        height, width = mask.shape
        x, y = (MASK / self._side * scale for scale in self._scale(height, width))
        size = (max(1, round(width * x)), max(1, round(height * y)))
        shrunk = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        logits = np.full((MASK, MASK), -10, np.float32)
        logits[: size[1], : size[0]] = 20 * shrunk - 10
        return logits

    def _scale(self, height: int, width: int) -> tuple[float, float]:
        """Pixels of the network's image per image pixel, along x and y."""
        if self._keeps_aspect:
            zoom = self._side / max(height, width)
            return zoom, zoom
        return self._side / width, self._side / height


def _session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise DataError(path, "there is no such file", REMEDY)
    return open_session(path, threads, DataError(path, "cannot be read by ONNX Runtime", REMEDY))
